package membership

import (
	"fmt"

	"github.com/hashicorp/memberlist"
)

// heardReach takes a question or an answer. It never waits: memberlist calls it.
func (m *Membership) heardReach(msg reachMessage) {
	switch {
	case msg.kind == kindReach:
		m.answerReach(msg)
	case msg.name != m.name:
		m.misdirected(msg)
	default:
		m.reach.mu.Lock()
		round := m.reach.rounds[msg.challenge]
		if round != nil {
			answers := round.packets
			if msg.kind == kindReachStream {
				answers = round.streams
			}
			answers[msg.from] = true
			round.told()
		}
		m.reach.mu.Unlock()
	}
}

// answerReach answers a member at the address that it announces. Of others it knows none, so that no
// process outside the cluster can make it send anything.
func (m *Membership) answerReach(msg reachMessage) {
	gossip, _, running := m.live()
	peer, known := m.registry.named(msg.name)
	if !running || !known || msg.name == m.name {
		return
	}
	if ok, _ := m.reach.answered.say(msg.name, m.settings.now()); !ok {
		return
	}
	answer := func(kind byte) []byte {
		return reachMessage{kind: kind, challenge: msg.challenge, name: msg.name, from: m.settings.NodeID}.bytes()
	}
	m.background(func() {
		_ = gossip.SendToAddress(memberlist.Address{Addr: peer.Addr.String(), Name: msg.name}, answer(kindReachPacket))
		select {
		case m.reach.serving <- struct{}{}:
			defer func() { <-m.reach.serving }()
		default:
			return // the asker asks again
		}
		node := &memberlist.Node{Name: msg.name, Addr: peer.Addr.Addr().AsSlice(), Port: peer.Addr.Port()}
		_ = gossip.SendReliable(node, answer(kindReachStream)) // that it fails is what the asker finds out
	})
}

// misdirected takes an answer that was meant for another member, and came here: the other one
// announces the address of this one.
func (m *Membership) misdirected(msg reachMessage) {
	peer, known := m.registry.named(msg.name)
	if self := m.Local(); known && peer.Addr == self.Addr && peer.ID != self.ID {
		m.troubles.set(troubleConflict, peer.ID, "", fmt.Sprintf("%s announces %v, the address of this member", peer.ID, peer.Addr), conflictMemory)
	}
}

// named returns the start of a gossip name, if it is believed alive.
func (r *registry) named(name string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.alive[name]
	return m, known
}
