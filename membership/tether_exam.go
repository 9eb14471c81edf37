package membership

import (
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/membership/internal/tether"
)

// pingTether sends some pings to a start, and tells the machine whether one was answered. memberlist
// waits for an answer for its probe timeout, which may be longer than the examination.
func (m *Membership) pingTether(name string) {
	wait := m.tethers.times.pings
	answers := make(chan struct{}, tetherPings)
	ping := func() {
		gossip, _, running := m.live()
		peer, known := m.registry.named(name)
		if !running || !known {
			return
		}
		if _, err := gossip.Ping(name, net.UDPAddrFromAddrPort(peer.Addr)); err == nil {
			answers <- struct{}{}
		}
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	next := time.NewTicker(wait / (tetherPings + 1))
	defer next.Stop()
	m.background(ping)
	for sent := 1; ; {
		select {
		case <-answers:
			m.tethers.push(tether.Pinged{Name: name, Answered: true})
			return
		case <-over.C:
			m.tethers.push(tether.Pinged{Name: name})
			return
		case <-next.C:
			if sent < tetherPings {
				sent++
				m.background(ping)
			}
		case <-m.life.Ending().Done():
			return
		}
	}
}

// claim tells a start the finding of this member, on a tether in either direction. A doubt may go to
// a start without one; it then has a tether of its own for a moment.
func (m *Membership) claim(a tether.Claim) {
	patience := m.tethers.times.dial
	m.tethers.mu.Lock()
	end := m.tethers.held[a.To]
	if end == nil {
		end = m.tethers.served[a.To]
	}
	m.tethers.mu.Unlock()
	if end != nil {
		_ = end.session.Claim(a.About, a.Finding, patience) // when it fails, the tether ends
		return
	}
	_, g, running := m.live()
	peer, known := m.registry.named(a.To)
	if a.Finding != tether.Doubt || !running || !known {
		return // told again when a tether opens
	}
	session, conn, err := m.beginTether(g, a.To, peer.Addr)
	if err != nil {
		return
	}
	if session.Claim(a.About, a.Finding, patience) == nil {
		_ = session.Part(patience)
	}
	_ = conn.Close()
}

// declareDead makes memberlist believe that a start is dead, here and at the other members. The start
// can refute that, if it lives.
func (m *Membership) declareDead(a tether.Declare) {
	if a.Finding == tether.Silent && !m.confirmsSilence(a.Name) {
		return
	}
	_, g, running := m.live()
	peer, known := m.registry.named(a.Name)
	if !running || !known {
		return
	}
	packet, err := g.DeadPacket(a.Name, m.name, m.incarnationAbove(peer))
	if err != nil {
		m.log.Warn("cannot declare a member dead", "member", peer.ID, "error", err)
		return
	}
	evidence := "its address refuses connections, and pings are not answered"
	if a.Finding == tether.Silent {
		evidence = "nothing at its address answers"
	}
	m.log.Info("declaring a member dead", "member", peer.ID, "address", peer.Addr, "evidence", evidence)
	m.broadcast(g, packet, a.Name)
}

// suspectSilent makes all members suspect a start at which nothing answers, unless this member suspects it already.
// The start refutes that if it hears of it by way of any member.
func (m *Membership) suspectSilent(name string) {
	_, g, running := m.live()
	peer, known := m.registry.named(name)
	if !running || !known {
		return
	}
	incarnation := m.incarnationAbove(peer)
	if !m.suspicions.raise(name, uint64(incarnation)) {
		return
	}
	if packet, err := g.SuspectPacket(name, m.name, incarnation); err == nil {
		m.background(func() { m.broadcast(g, packet, "") })
	}
}

// broadcast passes a packet of gossip to memberlist here, and sends it to many other members, except one.
func (m *Membership) broadcast(g *guard.Guard, packet []byte, except string) {
	g.Inject(packet)
	for _, other := range pick(m.registry.others(), maxDirectNews) {
		if name := gossipName(other.ID, other.Start.Nonce); name != except {
			_, _ = g.WriteToAddress(packet, memberlist.Address{Addr: other.Addr.String(), Name: name})
		}
	}
}

// confirmsSilence reports whether gossip too finds a silent start dead, and waits some probes for that.
// The holders of tethers may all be on the far side of a cut, and other members reach the start. These
// pass on the suspicion, and the start refutes it.
func (m *Membership) confirmsSilence(name string) bool {
	interval, enough := m.settings.timings.probeInterval, m.mayRefuteFor(name)
	over := time.NewTimer(silentProbes * interval)
	defer over.Stop()
	tick := time.NewTicker(interval / 10)
	defer tick.Stop()
	for {
		m.tethers.mu.Lock()
		held := m.tethers.held[name] != nil
		m.tethers.mu.Unlock()
		if held {
			return false // the start has answered
		}
		if m.suspicions.age(name) >= enough {
			return true
		}
		select {
		case <-tick.C:
		case <-over.C:
			return false
		case <-m.life.Ending().Done():
			return false
		}
	}
}

// mayRefuteFor returns for how long a silent start may refute the suspicion: for a probe interval. A start that
// refuted another suspicion not long ago has longer. It may lose most of what it sends, so that its refutation is late.
func (m *Membership) mayRefuteFor(name string) time.Duration {
	if m.suspicions.refutedBefore(name) {
		return refutationProbes * m.settings.timings.probeInterval
	}
	return m.settings.timings.probeInterval
}

// incarnationAbove returns an incarnation above that of a member.
func (m *Membership) incarnationAbove(peer Member) uint32 {
	return incarnationAbove(m.settings.now().Sub(peer.Started))
}

// incarnationAbove returns an incarnation above that of a start of an age. A start increases its
// incarnation far less often than once a second.
func incarnationAbove(age time.Duration) uint32 {
	return uint32(leastIncarnation + min(max(int64(age/time.Second), 0), mostIncarnation-leastIncarnation))
}

// doubt makes the holders of tethers to a member examine it. It never blocks.
func (m *Membership) doubt(id string) {
	if peer, known := m.registry.reachable(id); known && id != m.settings.NodeID {
		m.tethers.push(tether.Doubted{Name: gossipName(id, peer.Start.Nonce)})
	}
}
