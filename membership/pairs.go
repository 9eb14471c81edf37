package membership

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Two members may be unable to reach each other while a third member reaches both. memberlist then
// probes through the third one, and all three stay alive. Requests between the two fail. This file
// finds such pairs. It sends nothing while all probes are answered: a probe or an exchange of members
// that fails is what makes this member check another one.

const (
	pairTries = 3 // attempts of one check: packets and streams may be lost
	pairPings = 2 // pings in one attempt
	// pairChecked is how many checks in a row must fail. Where some attempts of them succeed, it is
	// halfChecked, because packets or streams may be lost.
	pairChecked = 2
	halfChecked = 4
	pairChecks  = 8 // checks under way at a time
	pairSweep   = 8 // members that are checked because another one did not answer a check
	maxPairs    = 1024
	// maxPairWait is the longest time between two checks of a pair that is known to be blocked. The
	// other member repeats within that time what it does not receive.
	maxPairWait = 30 * time.Second
)

// pairs holds the members that this one may be unable to reach.
type pairs struct {
	doubts chan string // gossip names of members that did not answer

	mu  sync.Mutex
	all map[string]*pair // by gossip name
}

// pair is what this member knows of one other member. The lock of pairs guards it.
type pair struct {
	id      string
	since   time.Time     // the first of the failed checks
	alive   time.Time     // when the member was last alive
	due     time.Time     // when the next check begins
	wait    time.Duration // the time from a check to the next one
	busy    bool          // a check is under way
	failed  int           // checks that have failed
	blocked bool          // there is a trouble
}

// pairState says what works between this member and another one.
type pairState struct {
	packets bool // the other member answered a ping
	accepts bool // the other member took a stream
	opens   bool // the other member opened a stream to this one
}

func (s pairState) whole() bool { return s.packets && s.accepts && s.opens }

// doubt requests a check of a member. It never blocks.
func (p *pairs) doubt(name string) {
	select {
	case p.doubts <- name:
	default: // the next failure requests the check again
	}
}

// certainty returns the time within which a member that no other reaches is declared dead. A
// member that is alive for longer is reached by others.
func (t timings) certainty(members int) time.Duration {
	scale := max(1, math.Log10(float64(max(members, 1))))
	return time.Duration(2*float64(t.suspicion.shortest)*scale*float64(t.probeInterval)) + 4*t.probeInterval
}

// watchPairs checks the members that did not answer, until the context ends.
func (m *Membership) watchPairs(ctx context.Context) {
	tick := time.NewTicker(m.settings.timings.probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-m.pairs.doubts:
			m.doubted(name)
		case <-tick.C:
			m.dropPairs()
			for name, peer, due := m.duePair(); due; name, peer, due = m.duePair() {
				if !m.background(func() { m.concludePair(name, peer, m.checkPair(ctx, name, peer)) }) {
					return
				}
			}
		}
	}
}

// doubted plans the first check of a member. It does nothing when checks of that member are planned
// already, nor while this member has a common trouble.
func (m *Membership) doubted(name string) {
	peer, alive := m.registry.named(name)
	if !alive || name == m.name || m.commonTrouble() {
		return
	}
	m.pairs.mu.Lock()
	defer m.pairs.mu.Unlock()
	if _, known := m.pairs.all[name]; !known && len(m.pairs.all) < maxPairs {
		now := m.settings.now()
		m.pairs.all[name] = &pair{id: peer.ID, since: now, alive: now, due: now, wait: 2 * m.settings.timings.probeInterval}
	}
}

// commonTrouble reports whether this member has a trouble that is not about one pair. Each such
// trouble has a problem of its own.
func (m *Membership) commonTrouble() bool {
	_, err := m.reach.state()
	return err != nil || m.isolation.on.Load() || m.troubles.has(troubleNoPackets) || m.troubles.has(troubleNoStreams)
}

// dropPairs deletes the records of members that are gone. A member of a blocked pair may be declared
// dead for a moment, when its refutation takes too long by way of the third member.
func (m *Membership) dropPairs() {
	m.pairs.mu.Lock()
	defer m.pairs.mu.Unlock()
	now := m.settings.now()
	for name, p := range m.pairs.all {
		if _, alive := m.registry.named(name); alive {
			p.alive = now
		} else if now.Sub(p.alive) >= maxPairWait {
			delete(m.pairs.all, name)
			m.troubles.clear(troublePair, p.id)
		}
	}
}

// duePair returns the member whose check has been due for longest, and marks it as busy.
func (m *Membership) duePair() (name string, peer Member, found bool) {
	m.pairs.mu.Lock()
	defer m.pairs.mu.Unlock()
	now, busy := m.settings.now(), 0
	var first *pair
	for other, p := range m.pairs.all {
		if p.busy {
			busy++
		} else if !now.Before(p.due) && (first == nil || p.due.Before(first.due)) {
			if it, alive := m.registry.named(other); alive {
				name, peer, first = other, it, p
			}
		}
	}
	if first == nil || busy >= pairChecks {
		return "", Member{}, false
	}
	first.busy = true
	return name, peer, true
}

// checkPair tries what works between this member and another one. It ends as soon as everything
// works.
func (m *Membership) checkPair(ctx context.Context, name string, peer Member) (state pairState) {
	round := m.reach.begin()
	defer m.reach.end(round)
	speaks := m.answers(peer.Addr)
	for range pairTries {
		begun := m.settings.now()
		m.ask(round, kindReach, []netip.AddrPort{peer.Addr})
		for range pairPings {
			gossip, _, running := m.live()
			if !running || state.packets {
				break
			}
			_, err := gossip.Ping(name, net.UDPAddrFromAddrPort(peer.Addr))
			state.packets = err == nil
		}
		m.await(ctx, round, max(0, m.settings.timings.patience-m.settings.now().Sub(begun)), func(_, streams int) bool {
			state.accepts = len(m.askedOf(round)) > 0
			state.opens = streams > 0 || !speaks
			return state.accepts && state.opens
		})
		if state.whole() || ctx.Err() != nil {
			break
		}
	}
	return state
}

// concludePair draws the conclusion from a check.
func (m *Membership) concludePair(name string, peer Member, state pairState) {
	if state.whole() || m.commonTrouble() {
		m.pairs.mu.Lock()
		delete(m.pairs.all, name)
		m.pairs.mu.Unlock()
		m.troubles.clear(troublePair, peer.ID)
		return
	}
	now := m.settings.now()
	m.pairs.mu.Lock()
	p := m.pairs.all[name]
	if p == nil {
		m.pairs.mu.Unlock()
		return // the member is gone
	}
	p.busy = false
	p.failed++
	sweep := p.failed == 1
	if p.blocked {
		p.wait = min(2*p.wait, maxPairWait)
	}
	p.due = now.Add(p.wait)
	enough := pairChecked
	if state.packets || state.accepts {
		enough = halfChecked
	}
	_, alive := m.registry.named(name)
	p.blocked = p.blocked || alive && p.failed >= enough && now.Sub(p.since) >= m.settings.timings.certainty(m.registry.countOthers()+1)
	blocked := p.blocked
	m.pairs.mu.Unlock()
	if sweep {
		m.sweepPairs()
	}
	if blocked {
		says := m.describePair(state)
		m.troubles.set(troublePair, peer.ID, says, fmt.Sprintf("%s at %v %s", peer.ID, peer.Addr, says), 0)
		m.complain(name, peer, state)
	}
}

// sweepPairs plans checks of some more members. The cause may block them too, and probes would take
// a round of all members to show it.
func (m *Membership) sweepPairs() {
	for _, other := range pick(m.registry.others(), pairSweep) {
		m.doubted(gossipName(other.ID, other.Start.Nonce))
	}
}

func (m *Membership) describePair(state pairState) string {
	switch own := m.Local().Addr; {
	case !state.packets && !state.accepts:
		return "answers neither over UDP nor over TCP"
	case !state.accepts:
		return "does not answer over TCP"
	case !state.packets && !state.opens:
		return fmt.Sprintf("reaches this member at %v neither over UDP nor over TCP", own)
	case !state.packets:
		return "does not answer over UDP"
	default:
		return fmt.Sprintf("does not reach this member at %v over TCP", own)
	}
}

// complain tells the other member of a pair what does not work, where something works.
func (m *Membership) complain(name string, peer Member, state pairState) {
	gossip, _, running := m.live()
	if !running {
		return
	}
	complaint := func(kind byte) []byte { return reachMessage{kind: kind, name: name, from: m.settings.NodeID}.bytes() }
	switch {
	case state.packets && !state.accepts:
		_ = gossip.SendToAddress(memberlist.Address{Addr: peer.Addr.String(), Name: name}, complaint(kindNoStream))
	case !state.packets && state.accepts:
		_ = gossip.SendReliable(&memberlist.Node{Name: name, Addr: peer.Addr.Addr().AsSlice(), Port: peer.Addr.Port()}, complaint(kindNoPacket))
	}
}

// heardComplaint has this member check the sender of a complaint. The complaint itself proves nothing: it may be
// forged, or recorded. memberlist calls heardComplaint, so it never waits.
func (m *Membership) heardComplaint(msg reachMessage) {
	if peer, alive := m.registry.reachable(msg.from); alive && msg.name == m.name {
		m.pairs.doubt(gossipName(peer.ID, peer.Start.Nonce))
	}
}
