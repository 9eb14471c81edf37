package membership

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Gossip reaches nearly all members within a second, and the last few only with the
// next exchange of members, up to a minute later. This file shortens that time. When a
// view is older than a moment and some members have not confirmed it, this member asks
// some of them for their digest, which answers to probes also carry. It exchanges
// members with a member whose list differs. A member that packets do not reach asks over
// streams, and is told which members have confirmed the view.

// answerWait is for how many delays of the tail an answer counts. An answer that was not asked for does not count: it
// may be forged, or recorded.
const answerWait = 10

// tail holds what ends the differences that gossip leaves.
type tail struct {
	asks     chan digestMessage
	syncs    *syncer
	lastSync atomic.Int64 // when members were last exchanged, unix nanoseconds
}

// publish sets the view.
func (m *Membership) publish(v view) {
	if m.agreement.publish(v) {
		m.registry.events.poke()
	}
}

// keepAgreeing asks other members for their digests, and answers such questions, until the context
// ends.
func (m *Membership) keepAgreeing(ctx context.Context) {
	delay := m.settings.timings.tailDelay
	tick := time.NewTicker(delay / 4)
	defer tick.Stop()
	asking := asking{delay: delay, asked: make(map[string]time.Time)}
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-m.tail.asks:
			if asking.answered(msg.from, m.settings.now()) && msg.kind == kindAnswer {
				m.heardAnswer(msg)
			}
			m.answer(msg)
		case <-tick.C:
			m.registry.endAbsences()
			m.askDigests(&asking)
		}
	}
}

// asking decides when this member asks others for their digests.
type asking struct {
	delay time.Duration
	view  digest
	next  time.Duration        // the age of the view at which to ask next
	asked map[string]time.Time // when members were asked that have not answered, by NodeID
}

// answered reports whether a message of a member may be the answer to a question, and ends the wait
// for it.
func (a *asking) answered(id string, now time.Time) bool {
	at, waits := a.asked[id]
	delete(a.asked, id)
	return waits && now.Sub(at) < answerWait*a.delay
}

// due reports whether this member must ask for digests now. few says that fewer than half of the
// members hold the view.
func (a *asking) due(own digest, age time.Duration, few bool) bool {
	if own != a.view {
		a.view, a.next = own, a.delay
		if !few { // not all members that hold the view ask the same few others at once
			a.next += a.delay/2 + rand.N(a.delay) //nolint:gosec // a time
		}
	}
	if age < a.next {
		return false
	}
	a.next = age + min(max(age, a.delay), 10*a.delay)
	return true
}

// askDigests asks two of the members that are not known to hold the view, when that is due.
func (m *Membership) askDigests(a *asking) {
	ids, age, few := m.agreement.missing()
	own, ok := m.agreement.own()
	if !ok || len(ids) == 0 {
		clear(a.asked)
		return
	}
	if !a.due(own, age, few) {
		return
	}
	deaf := m.troubles.has(troubleNoPackets)
	for range 2 {
		peer, known := m.registry.reachable(ids[rand.IntN(len(ids))]) //nolint:gosec // a sample
		if !known {
			continue
		}
		a.asked[peer.ID] = m.settings.now()
		if deaf {
			m.sendStream(peer, m.digestMessage(kindAskStream, own))
		} else {
			m.sendDigest(kindAsk, peer, own)
		}
	}
}

// heardAnswer compares the digest of another member with that of this one.
func (m *Membership) heardAnswer(msg digestMessage) {
	if peer, ok := m.registry.reachable(msg.from); ok && msg.from != m.settings.NodeID {
		m.compare(peer.ID, peer.Addr.String(), msg.digest)
	}
}

// answer returns the digest of this member to a sender that asks for it. What the sender says of itself may be
// forged, or recorded, and is not used: this member asks in its turn.
func (m *Membership) answer(msg digestMessage) {
	peer, ok := m.registry.reachable(msg.from)
	if !ok || msg.from == m.settings.NodeID {
		return
	}
	own, ok := m.agreement.own()
	switch {
	case !ok || msg.kind == kindAnswer:
	case msg.kind == kindAsk:
		m.sendDigest(kindAnswer, peer, own)
	default:
		answer, same := m.agreement.heldBy(msg.digest)
		if !same {
			answer = m.digestMessage(kindAnswer, own)
		}
		m.sendStream(peer, answer)
	}
}

// sendDigest sends a digest in a packet.
func (m *Membership) sendDigest(kind byte, to Member, own digest) {
	gossip, _, running := m.live()
	if !running {
		return
	}
	address := memberlist.Address{Addr: to.Addr.String(), Name: gossipName(to.ID, to.Start.Nonce)}
	if err := gossip.SendToAddress(address, m.digestMessage(kind, own)); err != nil {
		m.log.Debug("cannot send a digest", "to", to.ID, "error", err)
	}
}

// sendStream sends a message over a stream, in the background.
func (m *Membership) sendStream(to Member, msg []byte) {
	if gossip, _, running := m.live(); running {
		m.background(func() { m.answerStream(gossip, gossipName(to.ID, to.Start.Nonce), to.Addr, msg) })
	}
}

func (m *Membership) digestMessage(kind byte, own digest) []byte {
	return digestMessage{kind: kind, digest: own, from: m.settings.NodeID}.append(nil)
}

// compare compares another member's digest with the digest of this member. It exchanges members
// with the other member if that could end a difference.
func (m *Membership) compare(id, addr string, theirs digest) {
	ours, age, mendable := m.agreement.heard(id, theirs)
	if !mendable || age < m.settings.timings.tailDelay {
		return
	}
	gossip, _, running := m.live()
	if !running || !m.tail.syncs.begin(ours, theirs, m.registry.countOthers()) {
		return
	}
	begun := m.background(func() {
		defer m.tail.syncs.end()
		m.tail.syncs.count.Add(1)
		if _, err := gossip.Join([]string{addr}); err != nil {
			m.log.Debug("cannot exchange members", "with", id, "error", err)
		}
	})
	if !begun {
		m.tail.syncs.end()
	}
}

// syncer decides when this member exchanges members with another one. There is one
// exchange at a time. For each pair of views there is one exchange, and further ones
// more and more rarely. All exchanges are within a budget of bytes, so that a lasting
// difference does not cause a storm of exchanges. An exchange whose connection is lost
// ends only with the time-out of a dial, and delays the next one by at most patience.
type syncer struct {
	longest  time.Duration
	patience time.Duration
	now      func() time.Time
	count    atomic.Uint64

	mu     sync.Mutex
	busy   int       // exchanges under way
	begun  time.Time // when the latest exchange began
	ours   digest
	pairs  map[digest]backoff // by the other member's view, for the current view of this member
	budget float64            // bytes
	filled time.Time
}

type backoff struct {
	until time.Time
	delay time.Duration
}

const (
	syncBytesPerMember = 512       // the approximate size of an exchange for each member, in both directions
	syncBytesPerSecond = 256 << 10 // how fast the budget is refilled
	syncBudget         = 8 * syncBytesPerSecond
	maxSyncPairs       = 256
	maxSyncs           = 4 // the largest number of exchanges under way; all except one have lasted longer than patience
)

func newSyncer(t timings, now func() time.Time) *syncer {
	return &syncer{longest: t.pushPullInterval, patience: t.patience, now: now, budget: syncBudget, filled: now()}
}

// begin reports whether an exchange may begin now. If so, the caller must call end
// after it.
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
	// A cluster that is too large for the budget may exchange when the budget is full.
	cost := min(float64(members*syncBytesPerMember), syncBudget)
	waiting := s.busy > 0 && now.Sub(s.begun) < s.patience
	if waiting || s.busy >= maxSyncs || now.Before(pair.until) || s.budget < cost {
		return false
	}
	// In a large cluster each member would exchange with the one that differs. So the
	// wait grows with the number of members.
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
