package membership

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// A member that is cut off together with a few others notices that late by its probes alone: each
// failed probe delays the next one. A member whose probes were rarely answered for some time
// therefore pings a sample of the other members at once. A few answers from members on the same
// side of the cut do not prevent that.
const (
	quietProbes   = 3 // a sample is taken when intervals without an answered probe outnumber intervals with one by more
	sampleMembers = 8
	sampleTries   = 4 // pings to each member of a sample: half of all packets may be lost
)

// isolation says whether most of the other members cannot be reached.
type isolation struct {
	on      atomic.Bool
	heardAt atomic.Int64 // when a probe last succeeded, unix nanoseconds
}

// watchIsolation sets isolation while most of the other members cannot be reached.
func (m *Membership) watchIsolation(ctx context.Context) {
	interval := m.settings.timings.probeInterval
	tick := time.NewTicker(interval)
	defer tick.Stop()
	heard := m.isolation.heardAt.Load()
	misses := 0 // intervals without an answered probe, less the intervals with one
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := m.isolation.heardAt.Load(); now != heard {
			heard, misses = now, max(misses-1, 0)
		} else {
			misses++
		}
		isolated := m.isolation.on.Load()
		switch {
		case m.registry.countOthers() == 0:
			isolated = false
		case misses > quietProbes || isolated:
			m.reach.want() // the other members may answer, and this member's address may be wrong
			switch answered, asked := m.sample(ctx, m.registry.others()); {
			// At most a fifth answers: this member is cut off. At least half answers: it is not.
			// In between isolated keeps its value, and a later tick takes the next sample.
			case 5*answered <= asked:
				isolated = true
			case 2*answered >= asked:
				isolated, misses = false, 0
			}
		}
		if ctx.Err() == nil && m.isolation.on.Swap(isolated) != isolated {
			m.log.Debug("isolation", "isolated", isolated) // package cluster logs the problem in health
			m.registry.events.poke()
		}
	}
}

// sample pings some of the other members. It returns how many of them answered, and how many it
// pinged. When it cannot complete that, it returns 1 and 1, as if all had answered.
func (m *Membership) sample(ctx context.Context, others []Member) (answered, asked int) {
	gossip, _, running := m.live()
	if !running || len(others) == 0 {
		return 1, 1
	}
	others = pick(others, sampleMembers)
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

// sampleStreams returns how many of the given members accept a stream. A member is not cut off
// when only its packets are lost and its streams arrive.
func (m *Membership) sampleStreams(ctx context.Context, others []Member) int {
	round := m.reach.begin()
	defer m.reach.end(round)
	targets := make([]netip.AddrPort, 0, len(others))
	for _, other := range others {
		targets = append(targets, other.Addr)
	}
	m.ask(round, kindReach, targets)
	m.await(ctx, round, m.settings.timings.patience, func(int, int) bool { return len(m.askedOf(round)) == len(targets) })
	return len(m.askedOf(round))
}
