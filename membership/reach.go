package membership

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
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

	maxServed = 16 // questions that are answered over streams at a time
	// servedRate and servedBurst bound how many are answered so in a second, and at once. In clear anybody can ask in
	// the name of a member. Each stream takes a port of this host for a minute.
	servedRate, servedBurst = 64, 256
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
