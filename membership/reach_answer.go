package membership

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// heardReach processes a question or an answer. memberlist calls it, so it never waits.
func (m *Membership) heardReach(msg reachMessage) {
	switch {
	case msg.kind == kindReach:
		m.answerReach(msg)
	case msg.kind == kindDeath || msg.kind == kindDeathStopped:
		m.answerDeath(msg)
	case msg.kind == kindNoPacket || msg.kind == kindNoStream:
		m.heardComplaint(msg)
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

// answerReach answers the question of a member at the address that the member announces. It
// ignores a question that names no known member, or one that was declared dead long ago. A process
// outside the cluster can therefore not make this member send to other addresses. A member that was
// declared dead lately is answered: it may ask before its refutation has arrived.
func (m *Membership) answerReach(msg reachMessage) {
	gossip, _, running := m.live()
	peer, known := m.registry.named(msg.name)
	if !known {
		m.probeAsker(msg.name)
		peer, known = m.registry.lostNamed(msg.name)
	}
	if !running || !known || msg.name == m.name {
		return
	}
	m.answerAsker(gossip, msg, peer.Addr)
}

// answerAsker answers a question in a packet and over a stream. It does not answer a question that it has
// just answered. Questions of one member may be about different matters, so each of them has an answer.
func (m *Membership) answerAsker(gossip *memberlist.Memberlist, msg reachMessage, to netip.AddrPort) {
	if ok, _ := m.reach.answered.say(fmt.Sprint(msg.name, msg.challenge), m.settings.now()); !ok {
		return
	}
	answer := func(kind byte) []byte {
		return reachMessage{kind: kind, challenge: msg.challenge, name: msg.name, from: m.settings.NodeID}.bytes()
	}
	m.background(func() {
		_ = gossip.SendToAddress(memberlist.Address{Addr: to.String(), Name: msg.name}, answer(kindReachPacket))
		m.answerStream(gossip, msg.name, to, answer(kindReachStream))
	})
}

// answerStream answers a member over a stream. Only maxServed such messages are under way at a time, and
// servedRate are sent in a second. The other member asks again when none arrives.
func (m *Membership) answerStream(gossip *memberlist.Memberlist, name string, to netip.AddrPort, answer []byte) {
	select {
	case m.reach.serving <- struct{}{}:
		defer func() { <-m.reach.serving }()
	default:
		return
	}
	if !m.reach.served.Take(1, m.settings.now()) {
		return
	}
	_ = gossip.SendReliable(&memberlist.Node{Name: name, Addr: to.Addr().AsSlice(), Port: to.Port()}, answer)
}

// misdirected processes an answer that was meant for another member, and arrived at this one. The
// other member then announces the address of this one.
func (m *Membership) misdirected(msg reachMessage) {
	peer, known := m.registry.named(msg.name)
	if self := m.Local(); known && peer.Addr == self.Addr && peer.ID != self.ID {
		m.troubles.set(troubleConflict, peer.ID, "", fmt.Sprintf("%s announces %v, the address of this member", peer.ID, peer.Addr), conflictMemory)
	}
}

// named returns the start with a gossip name, if it is believed alive.
func (r *registry) named(name string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.alive[name]
	return m, known
}
