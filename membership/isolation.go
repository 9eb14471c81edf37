package membership

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// A member that is cut off with a few others takes long to notice by probing
// alone: each failed probe makes the next one later. So when few probes have been
// answered for a while it asks a sample of the others at once. A probe that reaches another
// member on this side of the cut does not put that off.
const (
	quietProbes   = 3 // by how many the intervals without an answered probe must outnumber those with one
	sampleMembers = 8
	sampleTries   = 4 // pings to each: half of all packets may be lost
)

// watchIsolation sets isolated while most of the others cannot be reached.
func (m *Membership) watchIsolation(ctx context.Context) {
	interval := m.settings.timings.probeInterval
	tick := time.NewTicker(interval)
	defer tick.Stop()
	heard := m.heardAt.Load()
	misses := 0 // intervals without an answered probe, less those with one
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		others := m.registry.others()
		if now := m.heardAt.Load(); now != heard {
			heard, misses = now, max(misses-1, 0)
		} else {
			misses++
		}
		isolated := m.isolated.Load()
		switch {
		case len(others) == 0:
			isolated = false
		case misses > quietProbes || isolated:
			m.reach.want() // perhaps the others answer, and this member's address is wrong
			switch answered, asked := m.sample(ctx, others); {
			// Four of five silent: this member is cut off. Half answer: it is not. In
			// between it stays as it was, and is asked again.
			case 5*answered <= asked:
				isolated = true
			case 2*answered >= asked:
				isolated, misses = false, 0
			}
		}
		if ctx.Err() == nil && m.isolated.Swap(isolated) != isolated {
			m.log.Debug("isolation", "isolated", isolated) // health has a problem, which is logged
			m.registry.events.poke()
		}
	}
}

// sample pings some of the others and returns how many of how many answered. It
// counts as all when it could not be carried through.
func (m *Membership) sample(ctx context.Context, others []Member) (answered, asked int) {
	gossip, _, running := m.live()
	if !running {
		return 1, 1
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	others = others[:min(len(others), sampleMembers)]
	answers := make(chan bool, len(others))
	for _, peer := range others {
		begun := m.background(func() {
			name, addr := gossipName(peer.ID, peer.Start.Nonce), net.UDPAddrFromAddrPort(peer.Addr)
			for range sampleTries {
				if _, err := gossip.Ping(name, addr); err == nil {
					answers <- true
					return
				}
			}
			answers <- false
		})
		if !begun {
			return 1, 1
		}
	}
	for range others {
		select {
		case ok := <-answers:
			if ok {
				answered++
			}
		case <-ctx.Done():
			return 1, 1
		}
	}
	if 5*answered <= len(others) {
		answered = max(answered, m.sampleStreams(ctx, others))
	}
	return answered, len(others)
}

// sampleStreams returns how many of some others take a stream. Where packets alone do not get
// through, a member is not cut off.
func (m *Membership) sampleStreams(ctx context.Context, others []Member) int {
	round := m.reach.begin()
	defer m.reach.end(round)
	targets := make([]netip.AddrPort, 0, len(others))
	for _, other := range others {
		targets = append(targets, other.Addr)
	}
	m.ask(round, targets)
	m.await(ctx, round, m.settings.timings.patience, func(int, int) bool { return len(m.askedOf(round)) == len(targets) })
	return len(m.askedOf(round))
}
