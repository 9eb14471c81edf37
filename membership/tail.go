package membership

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Gossip reaches nearly everybody within a second and the last few only with
// the next exchange of all members, up to a minute later. Here that tail is
// closed: a member whose view has stood for a moment and is not yet everybody's
// asks some of those that have not confirmed it for their digest, as probes do
// in passing, and exchanges members with one that knows others.

// publish takes up a view.
func (m *Membership) publish(v view) {
	if m.agreement.publish(v) {
		m.registry.events.poke()
	}
}

// keepAgreeing asks and answers until the context ends.
func (m *Membership) keepAgreeing(ctx context.Context) {
	delay := m.settings.timings.tailDelay
	tick := time.NewTicker(delay / 4)
	defer tick.Stop()
	var view digest
	var next time.Duration // age of the view at which to ask next
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-m.asks:
			m.answer(msg)
		case <-tick.C:
			m.registry.endAbsences()
			ids, age, few := m.agreement.missing()
			own, ok := m.agreement.own()
			if !ok || len(ids) == 0 {
				continue
			}
			if own != view {
				view = own
				// The members that miss something are few and ask at once. The
				// many wait, so that they do not all ask the few.
				next = delay
				if !few {
					next += delay/2 + rand.N(delay)
				}
			}
			if age < next {
				continue
			}
			next = age + min(max(age, delay), 10*delay)
			for range 2 {
				m.sendDigest(kindAsk, ids[rand.IntN(len(ids))], own)
			}
		}
	}
}

// answer compares a digest that was sent to us and, if asked, returns ours.
func (m *Membership) answer(msg digestMessage) {
	peer, ok := m.registry.reachable(msg.from)
	if !ok || msg.from == m.settings.NodeID {
		return
	}
	m.compare(peer.ID, peer.Addr.String(), msg.digest)
	if own, ok := m.agreement.own(); ok && msg.kind == kindAsk {
		m.sendDigest(kindAnswer, peer.ID, own)
	}
}

func (m *Membership) sendDigest(kind byte, to string, own digest) {
	gossip, _, running := m.live()
	peer, known := m.registry.reachable(to)
	if !running || !known {
		return
	}
	msg := digestMessage{kind: kind, digest: own, from: m.settings.NodeID}.append(nil)
	address := memberlist.Address{Addr: peer.Addr.String(), Name: gossipName(peer.ID, peer.Start.Nonce)}
	if err := gossip.SendToAddress(address, msg); err != nil {
		m.log.Debug("sending a digest", "to", to, "error", err)
	}
}

// compare holds another member's digest against ours and exchanges members with
// it if that could mend a difference.
func (m *Membership) compare(id, addr string, theirs digest) {
	ours, age, mendable := m.agreement.heard(id, theirs)
	if !mendable || age < m.settings.timings.tailDelay {
		return
	}
	gossip, _, running := m.live()
	if !running || !m.syncs.begin(ours, theirs, len(m.registry.others())) {
		return
	}
	begun := m.background(func() {
		defer m.syncs.end()
		m.syncs.count.Add(1)
		if _, err := gossip.Join([]string{addr}); err != nil {
			m.log.Debug("exchanging members", "with", id, "error", err)
		}
	})
	if !begun {
		m.syncs.end()
	}
}

// syncer decides when members are exchanged to close the tail: one at a time,
// each pair of views once and then ever more rarely, and all of it within a
// budget of bytes, so that a difference that lasts does not become a storm. An
// exchange whose connection is lost ends only with the time-out of a dial. It
// does not hold up the next one for longer than patience.
type syncer struct {
	longest  time.Duration
	patience time.Duration
	now      func() time.Time
	count    atomic.Uint64

	mu     sync.Mutex
	busy   int       // exchanges under way
	begun  time.Time // the last of them
	ours   digest
	pairs  map[digest]backoff // by the other's view, for ours
	budget float64            // bytes
	filled time.Time
}

type backoff struct {
	until time.Time
	delay time.Duration
}

const (
	syncBytesPerMember = 512       // about what an exchange takes for each member, both ways
	syncBytesPerSecond = 256 << 10 // of the budget's refill
	syncBudget         = 8 * syncBytesPerSecond
	maxSyncPairs       = 256
	maxSyncs           = 4 // under way, all but one of them for longer than patience
)

func newSyncer(t timings, now func() time.Time) *syncer {
	return &syncer{longest: t.pushPullInterval, patience: t.patience, now: now, budget: syncBudget, filled: now()}
}

// begin reports whether an exchange may take place now; if so, end follows it.
func (s *syncer) begin(ours, theirs digest, members int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.budget = min(syncBudget, s.budget+now.Sub(s.filled).Seconds()*syncBytesPerSecond)
	s.filled = now
	if s.ours != ours || len(s.pairs) >= maxSyncPairs {
		s.ours, s.pairs = ours, make(map[digest]backoff)
	}
	pair := s.pairs[theirs]
	// A cluster too large for the budget may exchange when it is full.
	cost := min(float64(members*syncBytesPerMember), syncBudget)
	waiting := s.busy > 0 && now.Sub(s.begun) < s.patience
	if waiting || s.busy >= maxSyncs || now.Before(pair.until) || s.budget < cost {
		return false
	}
	// Each of many members would exchange with the one that differs: the more
	// they are, the more rarely each of them does.
	pair.delay = min(max(2*pair.delay, time.Second), s.longest*time.Duration(1+members/16))
	pair.until = now.Add(pair.delay)
	s.pairs[theirs] = pair
	s.budget -= cost
	s.busy++
	s.begun = now
	return true
}

func (s *syncer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
}
