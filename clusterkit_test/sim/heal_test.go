package sim_test

import (
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/transport/api"
)

// oblivion is the length of a split after which gossip on each side has no record of
// the other side: memberlist keeps dead members for 30 s.
const oblivion = 2 * time.Minute

// TestSimHealsAPartitionThatOutlastsMemory splits the network until each side has
// forgotten the other. After the split the sides must become one cluster without help,
// with the fingerprint of before.
func TestSimHealsAPartitionThatOutlastsMemory(t *testing.T) {
	t.Parallel()
	for _, n := range []int{scaled(20, 10, 10), scaled(100, 30, 15)} {
		simulate(t, memnet.Options{Latency: time.Millisecond, PacketLoss: 0.01}, func(s *sim) {
			all := s.form(n)
			before := all[0].Fingerprint()
			s.partition(all[:n*2/5]) // with all the seeds
			apart := s.quiet(10 * time.Minute)
			s.sleep(oblivion)
			s.heal()
			together := s.quiet(2 * time.Minute)
			if all[0].Fingerprint() != before {
				s.fail("the fingerprint is %v, was %v before", all[0].Fingerprint(), before)
			}
			t.Logf("%d members: apart after %v, together again %v after the cut ended", n, apart, together)
		})
	}
}

// TestSimHealsThroughNames also replaces every member at another address during the
// split. So no remembered address of the other side is valid, and only the name of the
// seeds leads there.
func TestSimHealsThroughNames(t *testing.T) {
	t.Parallel()
	n := scaled(20, 20, 10)
	simulate(t, memnet.Options{Latency: time.Millisecond, PacketLoss: 0.01}, func(s *sim) {
		all := s.form(n)
		before := all[0].Fingerprint()
		s.partition(all[:n*2/5])
		s.quiet(10 * time.Minute)
		for i, old := range all {
			m := s.make(old.id)
			if s.cut[old.addr] {
				s.cutOff(m.addr)
			}
			<-s.leave(old)
			s.launch(m)
			all[i] = m
			s.nameSides()
			s.quiet(2 * time.Minute)
		}
		s.sleep(oblivion)
		if len(s.components()) != 2 {
			s.fail("there are %d sides", len(s.components()))
		}
		s.heal()
		together := s.quiet(2 * time.Minute)
		if all[0].Fingerprint() != before {
			s.fail("the fingerprint is %v, was %v before", all[0].Fingerprint(), before)
		}
		t.Logf("%d members, all of them moved: together again %v after the cut ended", n, together)
	})
}

// nameSides gives the name of the seeds two addresses of each side.
func (s *sim) nameSides() {
	var seeds []*simMember
	for _, component := range s.components() {
		seeds = append(seeds, component[:min(2, len(component))]...)
	}
	s.dns.set(simSeedName, addrsOf(seeds))
}

// TestSimIsolation cuts a few members off from many. They must report that they are
// isolated long before they have noticed that all others are gone.
func TestSimIsolation(t *testing.T) {
	t.Parallel()
	const n = 30
	for _, few := range []int{1, 5} {
		if least() && few == 1 {
			continue
		}
		simulate(t, memnet.Options{Latency: time.Millisecond, PacketLoss: 0.01}, func(s *sim) {
			all := s.form(n)
			before := all[0].Fingerprint()
			s.partition(all[n-few:])
			cut := time.Now()
			isolated := make(map[string]time.Duration)
			alone := make(map[string]time.Duration)
			s.until("the few to notice", 20*time.Minute, func() bool {
				for _, m := range all[n-few:] {
					h := m.Health()
					if _, known := isolated[m.id]; !known && hasProblem(h, api.ProblemIsolated) {
						isolated[m.id] = time.Since(cut)
						if h.Ready {
							s.fail("%s is isolated and ready", m)
						}
					}
					if _, known := alone[m.id]; !known && h.Members == few {
						alone[m.id] = time.Since(cut)
					}
				}
				return len(alone) == few
			}, func() string { return time.Since(cut).String() })
			for _, m := range all[:n-few] {
				if hasProblem(m.Health(), api.ProblemIsolated) {
					s.fail("%s is one of many and says it is isolated", m)
				}
			}
			first, last := spanOf(isolated)
			firstAlone, lastAlone := spanOf(alone)
			t.Logf("%d of %d cut off: %d said so after %v to %v, knew the others gone after %v to %v",
				few, n, len(isolated), first, last, firstAlone, lastAlone)
			// Probes that by chance go to another of the few delay the report. One or
			// two of five members may be late, or notice before they report.
			early := 0
			for id, knew := range alone {
				if said, ok := isolated[id]; ok && said < knew && said <= 15*time.Second {
					early++
				}
			}
			if 2*early <= few {
				s.fail("isolated %v, alone %v", isolated, alone)
			}
			s.heal()
			together := s.quiet(2 * time.Minute) // all members are ready
			if all[0].Fingerprint() != before {
				s.fail("the fingerprint is %v, was %v before", all[0].Fingerprint(), before)
			}
			t.Logf("%d of %d cut off: ready and together again %v after the cut ended", few, n, together)
		})
	}
}

// TestSimIsolationEnds cuts a member off for a shorter time than the others need to
// declare it dead: it becomes ready again by itself.
func TestSimIsolationEnds(t *testing.T) {
	t.Parallel()
	simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) {
		n := scaled(30, 30, 15)
		all := s.form(n)
		few := all[n-1]
		s.partition(all[n-1:])
		unready := s.until("the member to be unready", time.Minute, func() bool { return !few.Health().Ready }, func() string { return "" })
		requireProblem(s, few, api.ProblemIsolated, true)
		s.heal()
		ready := s.until("the member to be ready", time.Minute, func() bool { return few.Health().Ready }, func() string { return "" })
		t.Logf("unready %v after the cut, ready %v after its end", unready, ready)
		s.quiet(time.Minute)
	})
}

func hasProblem(h cluster.Health, code string) bool {
	for _, p := range h.Problems {
		if p.Code == code {
			return true
		}
	}
	return false
}

// spanOf returns the first and the last of some durations.
func spanOf(times map[string]time.Duration) (first, last time.Duration) {
	for _, took := range times {
		if first == 0 || took < first {
			first = took
		}
		last = max(last, took)
	}
	return first, last
}

// TestSimRestartElsewhere crashes a member and starts it again at another
// address within a second.
func TestSimRestartElsewhere(t *testing.T) {
	t.Parallel()
	n := scaled(30, 30, 15)
	simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) {
		all := s.form(n)
		before := all[0].Fingerprint()
		old := all[10]
		events := make([][]cluster.Event, 0, n)
		for _, m := range all {
			if m != old {
				events = append(events, nil)
				kept := &events[len(events)-1]
				stream := m.Events(s.contextFor(time.Minute))
				s.working.Go(func() {
					for e := range stream {
						*kept = append(*kept, e)
					}
				})
			}
		}
		s.crash(old)
		s.sleep(700 * time.Millisecond)
		back := s.make(old.id)
		s.launch(back)
		all[10] = back
		s.until("views to be equal", time.Minute, func() bool { return settled(s.sorted()) }, func() string {
			return differences(s.sorted())
		})
		took := time.Since(back.at)
		up, _ := back.startedAt()
		t.Logf("%d members: Start took %v, views equal again %v after its call", n, up.Sub(back.at), took)
		if took > 5*time.Second || back.Fingerprint() != before {
			s.fail("fingerprint %v after %v, was %v before", back.Fingerprint(), took, before)
		}
		s.sleep(70 * time.Second) // the crash of the old start is noticed, and changes nothing
		if !settled(s.sorted()) || back.Fingerprint() != before {
			s.fail("later on views differ:\n%s", differences(s.sorted()))
		}
		s.working.Wait()
		for i := range events {
			checkRestart(s, events[i], old, back)
		}
	})
}

// checkRestart checks the events of one member about another one's restart.
func checkRestart(s *sim, events []cluster.Event, old, back *simMember) {
	s.t.Helper()
	rejoined := 0
	for _, e := range events {
		if e.Member == nil || e.Member.ID != old.id {
			continue
		}
		change := e.Member
		switch e.Kind {
		case cluster.MemberRejoined:
			rejoined++
			if change.Before.Addr != old.addr || change.Before.State != membership.Active || change.After.Addr != back.addr {
				s.fail("the restart of %s is told as %+v", old, change)
			}
		case cluster.MemberUpdated: // it becomes active
			if change.Before.Addr != back.addr || change.After.Addr != back.addr {
				s.fail("an update of %s is told as %+v", old, change)
			}
		default:
			s.fail("the restart of %s comes with %v: %+v", old, e.Kind, change)
		}
	}
	if rejoined != 1 {
		s.fail("the restart of %s is told %d times: %v", old, rejoined, events)
	}
}
