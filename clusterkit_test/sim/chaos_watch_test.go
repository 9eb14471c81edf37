package sim_test

import (
	"slices"
	"time"
)

// Without tethers a crash is noticed within 15 probe intervals, unless the first probe of the crashed
// member is late. Probes of a member are random: on average one in each interval, and
// one in one or two seconds while half of the members cannot be reached. So one crash
// in a thousand is noticed later, and more while the network is split.
const (
	crashLimit  = 15 * time.Second
	crashAtMost = 22 * time.Second
	crashInCut  = 40 * time.Second
	// hostLossAtMost is for members with tethers in a whole network: beats must be missing, the
	// holders must agree, and the member must have the time to refute a suspicion.
	hostLossAtMost = 7 * time.Second
)

// requireNoticed checks the times until crashes were noticed. One may be too long by
// chance, but not two.
func requireNoticed(s *sim, noticed []time.Duration) {
	s.t.Helper()
	late := 0
	for _, took := range noticed {
		if took > crashLimit {
			late++
		}
	}
	if late > 1 {
		s.fail("%d of %d crashes were noticed later than after %v: %s", late, len(noticed), crashLimit, quantiles(noticed))
	}
}

// crashWatch records which members have noticed a crash.
type crashWatch struct {
	victim *simMember
	at     time.Time
	cut    bool // the network was split meanwhile
	still  []*simMember
}

// expectNoticed watches a member that is about to crash.
func (c *chaos) expectNoticed(victim *simMember) {
	w := &crashWatch{victim: victim, at: time.Now()}
	for _, m := range c.sorted() {
		if up, _ := m.startedAt(); m != victim && !up.IsZero() {
			w.still = append(w.still, m)
		}
	}
	c.crashes = append(c.crashes, w)
}

// watchCrashes checks which members still see a crashed member. It ignores members that
// are gone themselves, or that have been on the smaller side of a split since.
func (c *chaos) watchCrashes() {
	c.crashes = slices.DeleteFunc(c.crashes, func(w *crashWatch) bool { return len(w.still) == 0 })
	for _, w := range c.crashes {
		w.cut = w.cut || c.cut != nil
		w.still = slices.DeleteFunc(w.still, func(m *simMember) bool {
			return c.members[m.id] != m || !c.inMajority(m)
		})
		if len(w.still) == 0 {
			continue
		}
		w.still = slices.DeleteFunc(w.still, func(m *simMember) bool {
			seen, ok := m.Member(w.victim.id)
			return !ok || seen.Addr != w.victim.addr
		})
		limit, times := crashAtMost, &c.noticed
		if w.cut {
			limit, times = crashInCut, &c.noticedCut
		}
		took := time.Since(w.at)
		switch {
		case len(w.still) == 0:
			c.note("the crash of %s was noticed after %v, network cut %v", w.victim, took, w.cut)
			*times = append(*times, took)
		case took > limit:
			c.fail("the crash of %s has not been noticed by %v after %v", w.victim, w.still, took)
		}
	}
}

// inMajority reports whether a member reaches at least half of all members.
func (c *chaos) inMajority(m *simMember) bool {
	if c.cut == nil {
		return true
	}
	side := 0
	for _, other := range c.members {
		if c.cut[other.addr] == c.cut[m.addr] {
			side++
		}
	}
	return 2*side >= len(c.members)
}
