package membership

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// A member that is cut off with a few others takes long to notice by probing
// alone: each failed probe makes the next one later. So when no probe has been
// answered for a while it asks a sample of the others at once.
const (
	quietProbes   = 5 // probe intervals without an answer before a sample is asked
	sampleMembers = 8
	sampleTries   = 4 // pings to each: half of all packets may be lost
)

// watchIsolation sets isolated while most of the others cannot be reached.
func (m *Membership) watchIsolation(ctx context.Context) {
	interval := m.settings.timings.probeInterval
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		others := m.registry.others()
		quiet := m.settings.now().Sub(time.Unix(0, m.heardAt.Load())) > quietProbes*interval
		isolated := m.isolated.Load()
		switch {
		case len(others) == 0:
			isolated = false
		case quiet || isolated:
			isolated = m.sample(ctx, others, isolated)
		}
		if ctx.Err() == nil && m.isolated.Swap(isolated) != isolated {
			m.log.Warn("isolation", "isolated", isolated)
			m.registry.events.poke()
		}
	}
}

// sample pings some of the others and reports whether we are isolated: yes when
// four of five do not answer, no when half do, as before in between.
func (m *Membership) sample(ctx context.Context, others []Member, before bool) bool {
	gossip, _, running := m.live()
	if !running {
		return before
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
			return before
		}
	}
	answered := 0
	for range others {
		select {
		case ok := <-answers:
			if ok {
				answered++
			}
		case <-ctx.Done():
			return before
		}
	}
	switch {
	case 5*answered <= len(others):
		return true
	case 2*answered >= len(others):
		m.heardAt.Store(m.settings.now().UnixNano())
		return false
	default:
		return before
	}
}
