package cluster_test

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// ringChanges counts the changes of a member's ring from now on.
func ringChanges(c *cluster.Cluster) func() uint64 {
	before := c.Metrics().RingChanges
	return func() uint64 { return c.Metrics().RingChanges - before }
}

// A member announces an address at which no other member reaches it, or that of another member.
func TestAnAddressThatIsNotItsOwn(t *testing.T) {
	long(t)
	for name, addr := range map[string]string{
		"nothing listens there": "192.0.2.9:7946",
		"nothing answers there": "192.0.2.10:7946",
		"another member's":      gossipAddr(1),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				b.net.Isolate(netip.MustParseAddrPort("192.0.2.10:7946"))
				all := b.startMany(4)
				var changes []func() uint64
				for _, c := range all {
					changes = append(changes, ringChanges(c))
				}
				bad := b.make(5, func(o *cluster.Options) {
					o.Gossip.AdvertiseAddr, o.Seeds = addr, []string{gossipAddr(1), gossipAddr(2)}
				})
				begun := time.Now()
				err := bad.Start(t.Context())
				require.Less(t, time.Since(begun), 10*time.Second)
				require.ErrorContains(t, err, "no other member reaches this one at "+addr)
				require.ErrorContains(t, err, "Gossip.AdvertiseAddr")
				require.ErrorContains(t, err, "10.0.0.") // who tried
				if addr == gossipAddr(1) {
					require.ErrorContains(t, err, "n1 announces the same address")
				}
				time.Sleep(10 * time.Minute) // the bad one has stopped
				for i, c := range all {
					require.LessOrEqual(t, changes[i](), uint64(2), "of %s", c.Local().ID)
					require.Len(t, c.Members(), 4)
				}
			})
		})
	}
}

// moved is a network on which one member becomes unreachable at some moment, but still reaches all
// others: its address has changed, and it still announces the old one.
type moved struct {
	membership.Network
	addr  netip.AddrPort // of the member
	since atomic.Bool

	streamsOnly bool // packets go on reaching it
}

func (m *moved) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	inner, err := m.Network.Listen(addr, logger)
	return &movedTransport{inner, m}, err
}

type movedTransport struct {
	membership.Transport
	moved *moved
}

func (t *movedTransport) gone(addr string) bool {
	return t.moved.since.Load() && addr == t.moved.addr.String()
}

func (t *movedTransport) WriteToAddress(b []byte, a membership.Address) (time.Time, error) {
	if t.gone(a.Addr) && !t.moved.streamsOnly {
		return time.Now(), nil
	}
	return t.Transport.WriteToAddress(b, a)
}

func (t *movedTransport) DialAddressTimeout(a membership.Address, timeout time.Duration) (net.Conn, error) {
	if t.gone(a.Addr) {
		a.Addr = "192.0.2.1:1"
	}
	return t.Transport.DialAddressTimeout(a, timeout)
}

// The address of a member changes while it runs. It steps back, so that the others see one change,
// and owns again when it is reached again.
func TestAnAddressThatChanges(t *testing.T) {
	long(t)
	inBubble(t, func(t *testing.T, b *testNet) {
		n := &moved{Network: b.net, addr: addrPort(5)}
		all := b.startMany(5, func(o *cluster.Options) { o.Gossip.Network = n })
		var changes []func() uint64
		for _, c := range all[:4] {
			changes = append(changes, ringChanges(c))
		}
		n.since.Store(true)
		time.Sleep(20 * time.Second)
		p := problem(t, all[4], "unreachable-address")
		require.Contains(t, p.Message, "no other member reaches this one at "+gossipAddr(5))
		time.Sleep(10 * time.Minute)
		for i, c := range all[:4] {
			require.LessOrEqual(t, changes[i](), uint64(2), "of %s", c.Local().ID)
		}
		require.False(t, all[4].Health().Ready)
		n.since.Store(false)
		for h := all[4].Health(); h.State != membership.Active.String(); h = all[4].Health() {
			require.False(t, h.Ready && h.State == membership.Observer.String(), "ready while it observes")
			time.Sleep(time.Second)
		}
		time.Sleep(12 * time.Minute) // that it came back again and again is a problem for ten
		b.agree(all...)
		for _, c := range all {
			require.Empty(t, problems(c), c.Local().ID)
			require.Equal(t, membership.Active, c.Local().State)
		}
	})
}

// noPackets is a network that lets streams through, and no packets.
type noPackets struct{ membership.Network }

func (n noPackets) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	inner, err := n.Network.Listen(addr, logger)
	return noPacketsTransport{inner}, err
}

type noPacketsTransport struct{ membership.Transport }

func (noPacketsTransport) WriteToAddress([]byte, membership.Address) (time.Time, error) {
	return time.Now(), nil
}

// Where UDP is blocked between all members they are ready, agree, and say what is wrong.
func TestUDPIsBlocked(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var lines logLines
		var all []*cluster.Cluster
		for i := 1; i <= 3; i++ {
			all = append(all, b.start(i, lines.keep, func(o *cluster.Options) {
				o.Gossip.Network, o.Seeds = noPackets{b.net}, []string{gossipAddr(1)}
			}))
		}
		time.Sleep(time.Minute)
		for range 9 {
			time.Sleep(10 * time.Second)
			for _, c := range all {
				require.Len(t, c.Members(), 3)
				require.True(t, c.Health().Ready, "%v", c.Health().Problems)
				require.Contains(t, problem(t, c, "udp-blocked").Message, "answers to "+c.Local().Addr.String()+" arrive over TCP, and not over UDP, from n")
				require.True(t, c.Metrics().Problems["udp-blocked"])
				require.Len(t, c.Health().Problems, 1)
			}
		}
		require.Len(t, lines.with("level=WARN", "a problem appeared", "problem=udp-blocked"), 3)
	})
}

// A socket of one version of IP sends no packets to an address of the other one. The message says so.
func TestMembersOfBothVersionsOfIP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		mixed := func(o *cluster.Options) { o.Gossip.Network, o.Seeds = noPackets{b.net}, []string{gossipAddr(1)} }
		four := b.start(1, mixed)
		six := b.start(2, mixed, func(o *cluster.Options) { o.GossipAddr = "[fd00::2]:7946" })
		b.await("it is noticed", func() bool {
			return len(four.Members()) == 2 && len(six.Members()) == 2 && slices.Contains(problems(four), "udp-blocked") && slices.Contains(problems(six), "udp-blocked")
		})
		const says = ", of which these announce an address of the other version of IP, to which GossipAddr %s sends no packets: %s: open UDP"
		require.Contains(t, problem(t, four, "udp-blocked").Message, fmt.Sprintf("from n2"+says, "10.0.0.1:7946", "n2"))
		require.Contains(t, problem(t, six, "udp-blocked").Message, fmt.Sprintf("from n1"+says, "[fd00::2]:7946", "n1"))
	})
}

// Members that announce one address, and reach each other at others: each machine has the same
// address behind a router of its own.
func TestOneAddressOfTwoMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		seeds := func(o *cluster.Options) { o.Seeds = []string{gossipAddr(1), gossipAddr(2)} }
		same := func(o *cluster.Options) { o.Gossip.AdvertiseAddr = gossipAddr(1) }
		first := b.start(1, seeds)
		second := b.make(2, seeds, same)
		err := second.Start(t.Context())
		require.ErrorContains(t, err, "n1 announces the same address")
		require.Contains(t, problem(t, first, "address-conflict").Message, "n2 announces 10.0.0.1:7946, the address of this member")
	})
}

// A process that is taken for dead again and again is named.
func TestAMemberThatFlaps(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(5)
		for range 4 {
			b.net.Isolate(addrPort(5))
			time.Sleep(30 * time.Second)
			b.net.Heal()
			b.agree(all...)
		}
		time.Sleep(2 * time.Second)
		for _, c := range all[:4] {
			require.Contains(t, problem(t, c, "flapping").Message, "n5 at "+gossipAddr(5))
			require.True(t, c.Metrics().Problems["flapping"])
		}
		if testing.Short() {
			return
		}
		time.Sleep(15 * time.Minute)
		for _, c := range all[:4] {
			require.NotContains(t, problems(c), "flapping")
		}
	})
}

// A member to whose port packets get through, and no streams.
func TestTCPIsBlocked(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		n := &moved{Network: b.net, addr: addrPort(3), streamsOnly: true}
		n.since.Store(true)
		all := b.startMany(3, func(o *cluster.Options) { o.Gossip.Network, o.Seeds = n, []string{gossipAddr(1)} })
		b.await("it says so", func() bool { return slices.Contains(problems(all[2]), "tcp-blocked") })
		require.Contains(t, problem(t, all[2], "tcp-blocked").Message, "answers to 10.0.0.3:7946 arrive over UDP, and not over TCP, from n")
		require.True(t, all[2].Health().Ready)
		n.since.Store(false)
		b.await("it is over", func() bool { return !slices.Contains(problems(all[2]), "tcp-blocked") })
	})
}
