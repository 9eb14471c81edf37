package membership

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// balancer is a network with the additional address of a load balancer. A dial to that address
// leads to the member that pick returns.
type balancer struct {
	Network
	vip  netip.AddrPort
	mu   sync.Mutex // members dial from several goroutines
	pick func() netip.AddrPort
}

func (b *balancer) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	inner, err := b.Network.Listen(addr, logger)
	return &balanced{inner, b}, err
}

type balanced struct {
	Transport
	*balancer
}

func (b *balanced) DialAddressTimeout(a Address, timeout time.Duration) (net.Conn, error) {
	if a.Addr == b.vip.String() {
		b.mu.Lock()
		a.Addr = b.pick().String()
		b.mu.Unlock()
	}
	return b.Transport.DialAddressTimeout(a, timeout)
}

// inBubble runs a test in virtual time. The members that it adds are stopped at its end.
func inBubble(t *testing.T, run func(t *testing.T, network *memnet.Network, add func(*Membership))) {
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Latency: time.Millisecond})
		require.NoError(t, err)
		var all []*Membership
		defer func() {
			for _, m := range all {
				_ = m.Stop(context.Background())
			}
			time.Sleep(30 * time.Second)
		}()
		run(t, network, func(m *Membership) { all = append(all, m) })
	})
}

// A load balancer leads the starting member back to itself several times, and then to another
// member. The starting member must not go ahead alone.
func TestALoadBalancerThatLeadsBack(t *testing.T) {
	for _, members := range []int{1, 3} { // a larger number makes more dials lead back
		inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
			random := rand.New(rand.NewPCG(1, uint64(members)))
			dials := 0
			b := &balancer{Network: network, vip: netip.MustParseAddrPort("10.9.9.9:7946")}
			b.pick = func() netip.AddrPort {
				if dials++; dials <= 2*members {
					return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7946", 4))
				}
				return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7946", 1+random.IntN(4)))
			}
			for i := 1; i <= 3; i++ {
				m, err := New(joinOptions(b, i, "10.0.0.1:7946"))
				require.NoError(t, err)
				require.NoError(t, m.Start(t.Context()))
				add(m)
			}
			o := joinOptions(b, 4, b.vip.String())
			o.BootstrapTimeout = 30 * time.Second
			late, err := New(o)
			require.NoError(t, err)
			require.NoError(t, late.Start(t.Context()))
			add(late)
			found, _ := late.Members()
			require.Len(t, found, 4, "it went ahead alone")
		})
	}
}

// A member whose only seed leads back to itself goes ahead alone. It does so at once when the seed
// is certainly its own address, and otherwise after BootstrapTimeout.
func TestAMemberThatIsAlone(t *testing.T) {
	for seed, want := range map[string]time.Duration{
		"10.0.0.1:7946":  0,
		"127.0.0.1:7946": 0,
		"10.9.9.9:7946":  defaultBootstrapTimeout,
	} {
		inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
			own := netip.MustParseAddrPort("10.0.0.1:7946")
			b := &balancer{Network: network, vip: netip.MustParseAddrPort(seed), pick: func() netip.AddrPort { return own }}
			m, err := New(joinOptions(b, 1, seed))
			require.NoError(t, err)
			begun := time.Now()
			require.NoError(t, m.Start(t.Context()))
			add(m)
			require.InDelta(t, want.Seconds(), time.Since(begun).Seconds(), 1, seed)
		})
	}
}

// Discovery names many addresses, and most of them no longer answer. No member goes ahead alone
// before it has dialled all of them.
func TestStaleAddressesAmongSeeds(t *testing.T) {
	for _, c := range []struct {
		stale   int
		timeout time.Duration
	}{{0, time.Second}, {40, defaultBootstrapTimeout}, {200, defaultBootstrapTimeout}, {200, 100 * time.Millisecond}} {
		inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
			first, err := New(joinOptions(network, 1))
			require.NoError(t, err)
			require.NoError(t, first.Start(t.Context()))
			add(first)
			seeds := []string{"10.0.0.1:7946"}
			for i := range c.stale {
				gone := netip.MustParseAddrPort(fmt.Sprintf("10.0.1.%d:7946", i))
				network.Isolate(gone)
				seeds = append(seeds, gone.String())
			}
			for i := range 10 {
				o := joinOptions(network, 2+i, seeds...)
				o.BootstrapTimeout = c.timeout
				m, err := New(o)
				require.NoError(t, err)
				require.NoError(t, m.Start(t.Context()))
				found, _ := m.Members()
				require.Len(t, found, 2, "start %d with %d stale addresses and %v", i, c.stale, c.timeout)
				require.NoError(t, m.Stop(t.Context()))
				time.Sleep(time.Minute) // until the first member has forgotten m
			}
		})
	}
}

// A member that went ahead alone dials all addresses, and not only three of them every few
// seconds.
func TestAMemberThatIsAloneSearchesAllSeeds(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		var seeds []string
		for i := range 200 {
			seeds = append(seeds, fmt.Sprintf("10.0.1.%d:7946", i))
			network.Isolate(netip.MustParseAddrPort(seeds[i]))
		}
		alone, err := New(joinOptions(network, 1, append(seeds, "10.0.0.2:7946")...))
		require.NoError(t, err)
		require.NoError(t, alone.Start(t.Context()))
		add(alone)
		found, _ := alone.Members()
		require.Len(t, found, 1)
		second, err := New(joinOptions(network, 2))
		require.NoError(t, err)
		require.NoError(t, second.Start(t.Context()))
		add(second)
		time.Sleep(15 * time.Second)
		found, _ = alone.Members()
		require.Len(t, found, 2)
	})
}

// A seed without a port is dialled at the port that this member listens on.
func TestASeedWithoutAPort(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		for i := 1; i <= 2; i++ {
			o := joinOptions(network, i, "10.0.0.1")
			o.GossipAddr = fmt.Sprintf("10.0.0.%d:9000", i)
			m, err := New(o)
			require.NoError(t, err)
			require.NoError(t, m.Start(t.Context()))
			add(m)
			found, _ := m.Members()
			require.Len(t, found, i)
		}
	})
}
