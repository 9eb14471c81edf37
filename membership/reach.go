package membership

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/internal/lifecycle"
	"github.com/clusterkit/clusterkit/membership/internal/guard"
)

// A member announces an address, and does not know whether other members reach it there. The
// member therefore asks some of them, over streams that it opens. Each asked member answers at the
// announced address, once in a packet and once over a stream. An answer shows that the address is
// right. When answers do not arrive, the member asks more members, and exchanges members with
// them. An exchange shows that the other member runs and could have answered.

const (
	// reachVersion is the lowest version of the delegate protocol whose members answer the
	// question whether they reach the asker.
	reachVersion = 1

	reachFew  = 3  // members that the second question goes to; the first goes to one
	reachMany = 12 // members that the third question goes to
	maxServed = 16 // questions that are answered over streams at a time
	// servedRate and servedBurst bound how many are answered so in a second, and at once. In clear anybody can ask in
	// the name of a member. Each stream takes a port of this host for a minute.
	servedRate, servedBurst = 64, 256
	// reachPause is the least time between two checks.
	reachPause = 2 * time.Second
	// reachRetry is the time after which an address that no member reached is checked again. It
	// doubles up to maxReachRetry.
	reachRetry    = 10 * time.Second
	maxReachRetry = 5 * time.Minute
	// conflictMemory is how long this member reports an address conflict after an answer arrived
	// that was meant for another member.
	conflictMemory = 5 * time.Minute
)

// reach holds what this member knows about whether other members reach it.
type reach struct {
	wanted   chan struct{} // asks for a check
	serving  chan struct{} // holds one token for each question that is being answered over a stream
	served   guard.Bucket
	answered repeats // members that were answered lately
	changed  lifecycle.Broadcast

	mu      sync.Mutex
	rounds  map[uint64]*reachRound
	through []netip.AddrPort // addresses that led to other members, the newest first
	speaks  map[string]bool  // by gossip name: whether the member answers such questions; earlier releases do not
	listed  time.Time        // when another member last said in an exchange that it knows this one
	known   bool             // at least one check has ended
	err     error            // why no other member reaches this one
}

// reachRound is one question and the answers to it. The lock of reach guards both.
type reachRound struct {
	challenge        uint64
	asked            map[netip.AddrPort]string // addresses that took the question, with NodeIDs where known
	packets, streams map[string]bool           // NodeIDs of the members whose answers arrived
	news             chan struct{}
}

func newReach() reach {
	return reach{
		wanted: make(chan struct{}, 1), serving: make(chan struct{}, maxServed), served: guard.Bucket{Rate: servedRate, Burst: servedBurst},
		answered: repeats{every: 200 * time.Millisecond}, rounds: make(map[uint64]*reachRound),
		speaks: make(map[string]bool),
	}
}

// want requests a check. It never blocks.
func (r *reach) want() {
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

func (r *reach) begin() *reachRound {
	round := &reachRound{
		challenge: unguessable(), asked: make(map[netip.AddrPort]string),
		packets: make(map[string]bool), streams: make(map[string]bool), news: make(chan struct{}, 1),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds[round.challenge] = round
	return round
}

// told wakes the goroutine that waits for the round.
func (r *reachRound) told() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *reach) end(round *reachRound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rounds, round.challenge)
}

// counts returns how many members have answered a question in packets, and how many over streams.
func (r *reach) counts(round *reachRound) (packets, streams int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(round.packets), len(round.streams)
}

// voices returns how many members have answered a question in any way.
func (r *reach) voices(round *reachRound) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := len(round.packets)
	for id := range round.streams {
		if !round.packets[id] {
			all++
		}
	}
	return all
}

// answeredBy reports whether a member has answered a question in any way.
func (r *reach) answeredBy(round *reachRound, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return round.packets[id] || round.streams[id]
}

// conclude records the result of a check.
func (r *reach) conclude(err error) {
	r.mu.Lock()
	r.known, r.err = true, err
	r.mu.Unlock()
	r.changed.Signal()
}

// state returns whether a check has ended, and an error that says why no other member reaches this
// one.
func (r *reach) state() (known bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, r.err
}

// ask sends a question to some addresses in the background.
func (m *Membership) ask(round *reachRound, kind byte, targets []netip.AddrPort) {
	gossip, _, running := m.live()
	if !running {
		return
	}
	question := reachMessage{kind: kind, challenge: round.challenge, name: m.name}.bytes()
	for _, addr := range targets {
		m.background(func() {
			if gossip.SendReliable(&memberlist.Node{Addr: addr.Addr().AsSlice(), Port: addr.Port()}, question) != nil {
				return
			}
			peer, _ := m.registry.at(addr)
			m.reach.mu.Lock()
			defer m.reach.mu.Unlock()
			round.asked[addr] = peer.ID
			round.told()
		})
	}
}

// await waits until enough answers have arrived, the limit has passed or the context ends. It
// reports whether enough answers have arrived.
func (m *Membership) await(ctx context.Context, round *reachRound, limit time.Duration, enough func(packets, streams int) bool) bool {
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		if enough(m.reach.counts(round)) {
			return true
		}
		select {
		case <-round.news:
		case <-over.C:
			return enough(m.reach.counts(round))
		case <-ctx.Done():
			return false
		}
	}
}

// reachTargets returns up to most addresses to send a question to. A single one is, if possible, one
// that led to another member. Several are picked at random.
func (m *Membership) reachTargets(most int) []netip.AddrPort {
	m.reach.mu.Lock()
	targets := slices.Clone(m.reach.through)
	m.reach.mu.Unlock()
	self := m.Local().Addr
	for _, other := range m.registry.others() {
		if other.Addr != self && !slices.Contains(targets, other.Addr) {
			targets = append(targets, other.Addr)
		}
	}
	targets = slices.DeleteFunc(targets, func(addr netip.AddrPort) bool { return !m.answers(addr) })
	if most > 1 {
		rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] }) //nolint:gosec // an order
	}
	return targets[:min(len(targets), most)]
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
	alone, wanted := true, false
	m.reach.want()
	var last, next time.Time // the last check, and when to repeat it; a zero next: only on request
	wait := reachRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.reach.wanted:
			wanted = true
		case <-tick.C:
		}
		now := m.settings.now()
		if m.registry.countOthers() == 0 {
			if !alone {
				m.reach.conclude(nil)
				m.clearReach(troubleUnreached, troubleNoPackets, troubleNoStreams)
			}
			alone, wanted = true, false
			continue
		}
		if !next.IsZero() {
			wanted = !now.Before(next) // each check exchanges members, so that others declare this one alive, and later dead
		}
		wanted = wanted || alone
		if alone = false; !wanted || now.Sub(last) < reachPause {
			continue
		}
		whole, err := m.checkReach(ctx)
		if ctx.Err() != nil {
			return
		}
		last, next, wanted = m.settings.now(), time.Time{}, false
		if whole {
			wait = reachRetry
		} else {
			next, wait = last.Add(jitter(wait)), min(2*wait, maxReachRetry)
		}
		m.reach.conclude(err)
		m.registry.events.poke()
	}
}

// checkReach asks other members whether they reach this one. It records a problem as a trouble. It
// reports whether there is no trouble, and returns an error when no other member reaches this one.
func (m *Membership) checkReach(ctx context.Context) (whole bool, err error) {
	round, began := m.reach.begin(), m.settings.now()
	defer m.reach.end(round)
	patience := m.settings.timings.patience
	both := func(packets, streams int) bool { return packets > 0 && streams > 0 }
	some := func(packets, streams int) bool { return packets > 0 || streams > 0 }
	first := m.reachTargets(1)
	if len(first) == 0 {
		return true, nil // no other member answers such questions
	}
	m.ask(round, kindReach, first)
	if !m.await(ctx, round, patience, both) {
		if some(m.reach.counts(round)) {
			m.reach.conclude(nil) // lets Start continue
		}
		targets := m.reachTargets(reachFew)
		m.ask(round, kindReach, targets)
		running := m.runs(targets)
		whole := m.await(ctx, round, 2*patience, both)
		if !some(m.reach.counts(round)) && !running() {
			return true, nil // no asked member runs, so none could have answered
		}
		if !whole {
			// The way to the few members that were asked may be blocked, and that to others open. Or
			// it was blocked for a moment.
			m.ask(round, kindReach, m.reachTargets(reachMany))
			whole = m.await(ctx, round, patience, both)
		}
		if !whole && !some(m.reach.counts(round)) && !m.reach.listedSince(began) {
			return false, nil // the asked members do not know this one, and answer no strangers
		}
	}
	asked := m.askedOf(round)
	if ctx.Err() != nil {
		return true, nil
	}
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
		err = m.unreached(addr, asked)
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

// askedOf returns the addresses that took the question of a round.
func (m *Membership) askedOf(round *reachRound) map[netip.AddrPort]string {
	m.reach.mu.Lock()
	defer m.reach.mu.Unlock()
	return maps.Clone(round.asked)
}

func (m *Membership) named(ids map[string]bool) string {
	m.reach.mu.Lock()
	defer m.reach.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(ids)), ", ")
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
