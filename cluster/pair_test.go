package cluster_test

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// cut blocks both directions between each member of one list and each of another one.
func (b *testNet) cut(left, right []int) {
	for _, i := range left {
		for _, j := range right {
			b.net.Block(addrPort(i), addrPort(j))
			b.net.Block(addrPort(j), addrPort(i))
		}
	}
}

// names reports whether a member's problem pair-blocked has all of some parts.
func names(c *cluster.Cluster, parts ...string) bool {
	for _, p := range c.Health().Problems {
		if p.Code == "pair-blocked" {
			for _, part := range parts {
				if !strings.Contains(p.Message, part) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// One member joins two halves that cannot reach each other. No member is declared dead. Each member
// names the members that it does not reach.
func TestABridgeBetweenTwoHalves(t *testing.T) {
	long(t)
	t.Run("in clear", func(t *testing.T) { bridge(t, func(*cluster.Options) {}) })
	t.Run("encrypted", func(t *testing.T) {
		bridge(t, func(o *cluster.Options) { o.Gossip.Keys = membership.Keys{make([]byte, 32)} })
	})
}

func bridge(t *testing.T, keys edit) {
	t.Helper()
	inBubble(t, func(t *testing.T, b *testNet) {
		var lines logLines
		all := b.startMany(7, lines.keep, keys)
		halves := [][]int{{1, 2, 3}, {5, 6, 7}}
		b.cut(halves[0], halves[1])
		awaitWithin(t, 30*time.Second, "each names the other half", func() bool {
			for h, half := range halves {
				for _, i := range half {
					for _, j := range halves[1-h] {
						if !names(all[i-1], fmt.Sprintf("n%d at %s answers neither over UDP nor over TCP", j, gossipAddr(j))) {
							return false
						}
					}
				}
			}
			return true
		})
		time.Sleep(5 * time.Minute)
		for i, c := range all {
			require.True(t, c.Health().Ready)
			require.Equal(t, i != 3, c.Metrics().Problems["pair-blocked"], "of %s", c.Local().ID)
		}
		require.Len(t, lines.with("level=WARN", "a problem appeared", "problem=pair-blocked"), 18, "%s", lines.text.String())
		b.net.Heal()
		time.Sleep(2 * time.Minute) // each pair is checked again within half a minute
		b.agree(all...)
		for _, c := range all {
			require.NotContains(t, problems(c), "pair-blocked", "of %s", c.Local().ID)
		}
	})
}

// Lost packets and streams are no blocked pair, and neither is a member that crashes or is cut off.
func TestLossAndCrashesBlockNoPair(t *testing.T) {
	long(t)
	inBubble(t, func(t *testing.T, b *testNet) {
		var lines logLines
		all := b.startMany(7, lines.keep)
		require.NoError(t, b.net.SetPacketLoss(0.1))
		require.NoError(t, b.net.SetStreamLoss(0.1))
		time.Sleep(5 * time.Minute)
		b.net.Crash(addrPort(7))
		time.Sleep(time.Minute)
		require.Empty(t, lines.with("declared-dead"))
		b.net.Isolate(addrPort(6))
		time.Sleep(time.Minute)
		b.net.Heal()
		time.Sleep(time.Minute)
		require.Len(t, all[0].Members(), 6)
		require.Empty(t, lines.with("pair-blocked"))
	})
}

// blockade is a network on which one member can send nothing to another one from some moment on. What it
// answers on a stream that it did not open arrives.
type blockade struct {
	membership.Network
	from, to int
	since    atomic.Bool
	dials    bool // it cannot open streams
	packets  bool // it cannot send packets
}

func (n *blockade) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	inner, err := n.Network.Listen(addr, logger)
	if addr != addrPort(n.from) {
		return inner, err
	}
	return &blockaded{inner, n}, err
}

type blockaded struct {
	membership.Transport
	net *blockade
}

func (t *blockaded) stops(addr string) bool {
	return t.net.since.Load() && addr == gossipAddr(t.net.to)
}

func (t *blockaded) WriteToAddress(p []byte, a membership.Address) (time.Time, error) {
	if t.net.packets && t.stops(a.Addr) {
		return time.Now(), nil
	}
	return t.Transport.WriteToAddress(p, a)
}

func (t *blockaded) DialAddressTimeout(a membership.Address, timeout time.Duration) (net.Conn, error) {
	if t.net.dials && t.stops(a.Addr) {
		a.Addr = "192.0.2.1:1" // nothing listens there
	}
	return t.Transport.DialAddressTimeout(a, timeout)
}

// One member cannot send packets to another one, open streams to it, or both. Both members say so.
func TestADirectionBetweenTwoMembers(t *testing.T) {
	for name, c := range map[string]struct {
		dials, packets bool
		within         time.Duration
		first, second  string // what n1, which cannot send, and n2 say
	}{
		"packets": {false, true, 30 * time.Second,
			"n2 at 10.0.0.2:7946 does not answer over UDP", "n1 at 10.0.0.1:7946 does not answer over UDP"},
		"streams": {true, false, 20 * time.Minute, // an exchange of members that fails is the first sign
			"n2 at 10.0.0.2:7946 does not answer over TCP",
			"n1 at 10.0.0.1:7946 does not reach this member at 10.0.0.2:7946 over TCP"},
		"both": {true, true, 30 * time.Second,
			"n2 at 10.0.0.2:7946 answers neither over UDP nor over TCP",
			"n1 at 10.0.0.1:7946 reaches this member at 10.0.0.2:7946 neither over UDP nor over TCP"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				n := &blockade{Network: b.net, from: 1, to: 2, dials: c.dials, packets: c.packets}
				all := b.startMany(4, func(o *cluster.Options) { o.Gossip.Network = n })
				n.since.Store(true)
				awaitWithin(t, c.within, "both say so", func() bool { return names(all[0], c.first) && names(all[1], c.second) })
				require.NotContains(t, problems(all[2]), "pair-blocked")
				require.NotContains(t, problems(all[3]), "pair-blocked")
				n.since.Store(false)
				time.Sleep(70 * time.Second) // checks of a blocked pair become rare
				require.Empty(t, problems(all[0]))
				require.Empty(t, problems(all[1]))
			})
		})
	}
}

// Among many members, both members of one blocked pair name each other.
func TestOnePairAmongMany(t *testing.T) {
	members, limit := 16, time.Minute // two rounds of probes, and the checks
	if os.Getenv("CLUSTERKIT_SIM_FULL") != "" {
		members, limit = 100, 220*time.Second
	}
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(members)
		b.cut([]int{3}, []int{4})
		begun := time.Now()
		awaitWithin(t, limit, "both say so", func() bool {
			return names(all[2], "n4 at 10.0.0.4:7946 answers neither") && names(all[3], "n3 at 10.0.0.3:7946 answers neither")
		})
		t.Log("after", time.Since(begun))
		for i, c := range all {
			require.Len(t, c.Members(), members)
			require.Equal(t, i == 2 || i == 3, names(c), "of %s", c.Local().ID)
		}
	})
}
