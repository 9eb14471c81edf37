package sim_test

import (
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// TestSimRestartsInPlace restarts members within their grace, up to three at a time, while one
// packet and one dial in twenty are lost. Some come back too late, and others join meanwhile. After
// each round all agree on the present members. Where all came back in time, the ring is the same as
// before.
func TestSimRestartsInPlace(t *testing.T) {
	t.Parallel()
	const grace = 30 * time.Second
	members, rounds := scaled(30, 15, 12), scaled(25, 4, 3)
	network := memnet.Options{Latency: time.Millisecond, Jitter: 2 * time.Millisecond, PacketLoss: 0.05, StreamLoss: 0.05}
	simulate(t, network, func(s *sim) {
		s.form(members)
		s.quiet(time.Minute)
		next, changed := members, 0
		for range rounds {
			before := s.sorted()[0].Ring().Fingerprint()
			late, joins := s.rand.IntN(4) == 0, s.rand.IntN(4) == 0
			all := s.sorted()
			var away []string
			for _, i := range s.rand.Perm(len(all) - 3)[:1+s.rand.IntN(3)] {
				m := all[3+i]
				s.note("%s restarts, late: %v", m, late)
				<-s.leave(m)
				if m.Local().State != membership.Away {
					s.fail("%s is %v", m, m.Local().State)
				}
				away = append(away, m.id)
			}
			if joins {
				s.launch(s.make(s.number(next)))
				next++
			}
			pause := time.Duration(s.rand.Int64N(int64(grace / 3)))
			if late {
				pause += 2 * grace
			}
			s.sleep(pause)
			for _, id := range away {
				s.launch(s.make(id))
			}
			s.quiet(time.Minute)
			if !late && !joins && s.sorted()[0].Ring().Fingerprint() != before {
				s.fail("the ring is another one")
			}
			if late || joins {
				changed++
			}
		}
		t.Logf("seed %d: %d rounds, %d of them with late members or others that join", s.seed, rounds, changed)
	}, func(o *cluster.Options) { o.RestartGrace = grace })
}
