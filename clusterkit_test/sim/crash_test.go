package sim_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// TestSimCrashIsNoticed crashes members of a healthy cluster. It measures when the last
// of the other members gets the event, and when its ring is without the crashed member. Most members
// have tethers, whose beats show the crash. Without them, probes alone do.
func TestSimCrashIsNoticed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		members   int
		noTethers bool
		most      time.Duration
	}{{10, false, hostLossAtMost}, {scaled(100, 30, 20), false, hostLossAtMost}, {10, true, crashAtMost}} {
		n := c.members
		simulate(t, memnet.Options{Latency: time.Millisecond, PacketLoss: 0.01, StreamLoss: 0.005}, func(s *sim) {
			s.configs = append(s.configs, func(o *cluster.Options) { o.Gossip.NoTethers = c.noTethers })
			all := s.form(n)
			heard := follow(s, all)
			var told, last, agreed []time.Duration
			for i := range min(n/2, scaled(25, 5, 3)) {
				victim := all[n-1-i]
				s.sleep(time.Duration(s.rand.Int64N(int64(2 * time.Second))))
				crash := time.Now()
				s.crash(victim)
				s.until("the crash of "+victim.id+" to be noticed", time.Minute, func() bool { return settled(s.sorted()) },
					func() string { return differences(s.sorted()) })
				var slowest time.Duration
				for _, m := range s.sorted() {
					at, ok := heard.failed(m.id, victim.id)
					if !ok {
						s.fail("%s was not told that %s failed", m, victim)
					}
					told, slowest = append(told, at.Sub(crash)), max(slowest, at.Sub(crash))
				}
				last, agreed = append(last, slowest), append(agreed, time.Since(crash))
			}
			t.Logf("%d members: told of a crash: %s; the last of each: %s; agreed on the view that follows: %s",
				n, quantiles(told), quantiles(last), quantiles(agreed))
			requireNoticed(s, last)
			if slices.Max(last) > c.most {
				s.fail("a crash was noticed after %v", slices.Max(last))
			}
		})
	}
}

// followers record the events of failures that each member got.
type followers struct {
	mu sync.Mutex
	at map[[2]string]time.Time
}

// follow subscribes to the events of members until the simulation ends.
func follow(s *sim, members []*simMember) *followers {
	f := &followers{at: make(map[[2]string]time.Time)}
	for _, m := range members {
		stream := m.Events(context.Background())
		s.working.Go(func() {
			for e := range stream {
				if e.Kind == cluster.MemberFailed {
					f.mu.Lock()
					f.at[[2]string{m.id, e.Member.ID}] = e.At
					f.mu.Unlock()
				}
			}
		})
	}
	return f
}

// failed returns when a member got the event that another one had failed, and whether
// it did.
func (f *followers) failed(told, victim string) (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.at[[2]string{told, victim}]
	return at, ok
}
