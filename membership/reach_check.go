package membership

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	reachFew  = 3  // members that the second question goes to; the first goes to one
	reachMany = 12 // members that the third question goes to
	// reachPause is the least time between two checks.
	reachPause = 2 * time.Second
	// reachRetry is the time after which an address that no member reached is checked again. It
	// doubles up to maxReachRetry.
	reachRetry    = 10 * time.Second
	maxReachRetry = 5 * time.Minute
)

// reachPlan decides when this member checks whether other members reach it.
type reachPlan struct {
	alone  bool          // this member knows no other one
	wanted bool          // a check was requested
	last   time.Time     // when the last check ended
	next   time.Time     // when to repeat the last check; zero: only on request
	wait   time.Duration // from a check to its next repetition
}

// deserted records that this member knows no other one, and reports whether that is new.
func (p *reachPlan) deserted() bool {
	before := p.alone
	p.alone, p.wanted = true, false
	return !before
}

// begins reports whether a check must begin, while this member knows others. Each check exchanges
// members, so that others declare this one alive, and later dead. So one that found a trouble is
// repeated when its wait is over, and not on request.
func (p *reachPlan) begins(now time.Time) bool {
	if !p.next.IsZero() {
		p.wanted = !now.Before(p.next)
	}
	p.wanted = p.wanted || p.alone
	p.alone = false
	return p.wanted && now.Sub(p.last) >= reachPause
}

// ended records the end of a check. whole says that it found no trouble.
func (p *reachPlan) ended(whole bool, now time.Time) {
	p.last, p.next, p.wanted = now, time.Time{}, false
	if whole {
		p.wait = reachRetry
		return
	}
	p.next = now.Add(jitter(p.wait))
	p.wait = min(2*p.wait, maxReachRetry)
}

// watchReach checks whether other members reach this one, until the context ends. It checks in
// these cases:
//
//   - Another part of the package requests a check.
//   - This member is no longer alone.
//   - The last check found a trouble, and the wait after that check is over.
func (m *Membership) watchReach(ctx context.Context) {
	select {
	case <-m.reach.wanted: // Start has joined, or is alone
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(m.settings.timings.probeInterval)
	defer tick.Stop()
	plan := reachPlan{alone: true, wait: reachRetry}
	m.reach.want()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.reach.wanted:
			plan.wanted = true
		case <-tick.C:
		}
		if m.registry.countOthers() == 0 {
			if plan.deserted() {
				m.reach.conclude(nil)
				m.clearReach(troubleUnreached, troubleNoPackets, troubleNoStreams)
			}
			continue
		}
		if !plan.begins(m.settings.now()) {
			continue
		}
		whole, err := m.checkReach(ctx)
		if ctx.Err() != nil {
			return
		}
		plan.ended(whole, m.settings.now())
		m.reach.conclude(err)
		m.registry.events.poke()
	}
}

// checkReach asks other members whether they reach this one. It records a problem as a trouble. It
// reports whether there is no trouble, and returns an error when no other member reaches this one.
func (m *Membership) checkReach(ctx context.Context) (whole bool, err error) {
	round := m.reach.begin()
	defer m.reach.end(round)
	if decides, again := m.askReach(ctx, round); !decides || ctx.Err() != nil {
		return !again, nil
	}
	return m.reportReach(round)
}

// askReach asks one member, then a few, then many, until answers have arrived in packets and over
// streams. It reports whether the answers decide, or their absence. When they do not, again says
// whether to ask again after a wait.
func (m *Membership) askReach(ctx context.Context, round *reachRound) (decides, again bool) {
	began, patience := m.settings.now(), m.settings.timings.patience
	both := func(packets, streams int) bool { return packets > 0 && streams > 0 }
	some := func(packets, streams int) bool { return packets > 0 || streams > 0 }
	first := m.reachTargets(1)
	if len(first) == 0 {
		return false, false // no other member answers such questions
	}
	m.ask(round, kindReach, first)
	if m.await(ctx, round, patience, both) {
		return true, false
	}
	if some(m.reach.counts(round)) {
		m.reach.conclude(nil) // lets Start continue
	}
	targets := m.reachTargets(reachFew)
	m.ask(round, kindReach, targets)
	running := m.runs(targets)
	whole := m.await(ctx, round, 2*patience, both)
	if !some(m.reach.counts(round)) && !running() {
		return false, false // no asked member runs, so none could have answered
	}
	if !whole {
		// The way to the few members that were asked may be blocked, and that to others open. Or
		// it was blocked for a moment.
		m.ask(round, kindReach, m.reachTargets(reachMany))
		whole = m.await(ctx, round, patience, both)
	}
	if !whole && !some(m.reach.counts(round)) && !m.reach.listedSince(began) {
		return false, true // the asked members do not know this one, and answer no strangers
	}
	return true, false
}

// reportReach records the trouble that the answers of a round show.
func (m *Membership) reportReach(round *reachRound) (whole bool, err error) {
	addr := m.Local().Addr
	switch packets, streams := m.reach.counts(round); {
	case packets > 0 && streams > 0, streams > 0 && m.settings.Gossip.TCPOnly:
		m.clearReach(troubleUnreached, troubleNoPackets, troubleNoStreams)
		return true, nil
	case streams > 0:
		m.clearReach(troubleUnreached, troubleNoStreams)
		m.troubles.set(troubleNoPackets, "", "", fmt.Sprintf("answers to %v arrive over TCP, and not over UDP, from %s%s", addr, m.named(round.streams), m.otherVersion(round.streams)), 0)
	case packets > 0:
		m.clearReach(troubleUnreached, troubleNoPackets)
		m.troubles.set(troubleNoStreams, "", "", fmt.Sprintf("answers to %v arrive over UDP, and not over TCP, from %s", addr, m.named(round.packets)), 0)
	default:
		err = m.unreached(addr, m.askedOf(round))
		m.clearReach(troubleNoPackets, troubleNoStreams)
		m.troubles.set(troubleUnreached, "", "", err.Error(), 0)
	}
	return false, err
}

func (m *Membership) clearReach(kinds ...string) {
	for _, kind := range kinds {
		m.troubles.clear(kind, "")
	}
}

// otherVersion says which of some members announce an address to which a socket on this member's address sends no packets.
func (m *Membership) otherVersion(ids map[string]bool) string {
	bind, other := m.settings.bind.Addr(), make(map[string]bool)
	members, _ := m.Members()
	for _, one := range members {
		if to := one.Addr.Addr(); ids[one.ID] && to.Is4() != bind.Is4() && bind != netip.IPv6Unspecified() {
			other[one.ID] = true
		}
	}
	if len(other) == 0 {
		return ""
	}
	return fmt.Sprintf(", of which these announce an address of the other version of IP, to which GossipAddr %v sends no packets: %s",
		m.settings.bind, strings.Join(slices.Sorted(maps.Keys(other)), ", "))
}

// runs begins to exchange members with some addresses. The returned function reports whether an
// exchange has succeeded by then. If one has, the member at that address runs.
func (m *Membership) runs(addrs []netip.AddrPort) func() bool {
	var one atomic.Bool
	for _, addr := range addrs {
		m.contact(addr, func(err error) {
			if err == nil {
				one.Store(true)
			}
		})
	}
	return one.Load
}

// unreached returns the error that no other member reaches this one at the address that it
// announces.
func (m *Membership) unreached(addr netip.AddrPort, asked map[netip.AddrPort]string) error {
	who := make([]string, 0, len(asked))
	for at, id := range asked {
		who = append(who, strings.TrimSpace(fmt.Sprintf("%s %v", id, at)))
	}
	slices.Sort(who)
	conflict := ""
	if other, found := m.registry.at(addr); found {
		conflict = fmt.Sprintf(": %s announces the same address", other.ID)
	}
	return fmt.Errorf("no other member reaches this one at %v%s: the answers of %s arrived neither over UDP nor over TCP: "+
		"set Gossip.AdvertiseAddr to an address at which they reach it", addr, conflict, strings.Join(who, ", "))
}
