package membership

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// Seeds in several forms lead to a cluster of two, whose members listen on other ports than the one
// that joins. No start may go ahead alone.
func TestSeedsInSeveralForms(t *testing.T) {
	all := addrs("10.0.0.3", "10.0.0.1", "10.0.0.2") // the starting member among them
	hosts := map[string][]netip.Addr{
		"all.test": all, "all.test.": all, "self.test": addrs("10.0.0.3"),
		"six.test": addrs("fd00::1", "10.0.0.9"), "map.test": addrs("::ffff:10.0.0.1"),
	}
	for name, c := range map[string]struct {
		seeds []string
		own   string // the gossip address of the starting member
	}{
		"a name that leads to itself and others":     {[]string{"all.test"}, "10.0.0.3:7946"},
		"a name that leads to itself, and a seed":    {[]string{"self.test", "10.0.0.2"}, "10.0.0.3:7946"},
		"an IPv6 address in a name, and one of IPv4": {[]string{"six.test", "10.0.0.1"}, "10.0.0.3:7946"},
		"an IPv4 address in the form of IPv6":        {[]string{"map.test:7946"}, "10.0.0.3:9000"},
		"a port in the seed, another one here":       {[]string{"all.test:7946"}, "10.0.0.3:9000"},
		"an address in the form of IPv6":             {[]string{"[::ffff:10.0.0.2]:7946"}, "10.0.0.3:9000"},
		"a name with a dot at its end":               {[]string{"all.test.:7946"}, "10.0.0.3:7946"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
				for i := 1; i <= 2; i++ {
					add(started(t, joinOptions(network, i, "10.0.0.1:7946")))
				}
				o := joinOptions(network, 3, c.seeds...)
				o.GossipAddr, o.Gossip.Resolver = c.own, &names{hosts: hosts}
				m := started(t, o)
				add(m)
				found, _ := m.Members()
				require.Len(t, found, 3)
			})
		})
	}
}

// Members that listen on IPv6 join through an IPv6 seed, with and without its port.
func TestASeedOfIPv6(t *testing.T) {
	for _, seed := range []string{"[fd00::1]:7946", "fd00::1", "[fd00::1]", "six.test"} {
		inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
			for i := 1; i <= 3; i++ {
				o := joinOptions(network, i, seed)
				o.GossipAddr, o.Gossip.Resolver = fmt.Sprintf("[fd00::%d]:7946", i), &names{hosts: map[string][]netip.Addr{"six.test": addrs("fd00::1")}}
				begun := time.Now()
				m := started(t, o)
				add(m)
				found, _ := m.Members()
				require.Len(t, found, i, seed)
				if i == 1 && seed != "six.test" {
					require.Less(t, time.Since(begun), time.Second, "its own address is no reason to wait")
				}
			}
		})
	}
}

// A load balancer leads to the starting member and to one other, in turn.
func TestALoadBalancerBetweenTwo(t *testing.T) {
	for _, tcpOnly := range []bool{false, true} {
		for first := range 2 {
			inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
				dials := first
				b := &balancer{Network: network, vip: netip.MustParseAddrPort("10.9.9.9:80")}
				b.pick = func() netip.AddrPort {
					dials++
					return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7946", 1+dials%2))
				}
				for i := 1; i <= 2; i++ {
					o := joinOptions(b, i, "10.9.9.9:80")
					o.Gossip.TCPOnly = tcpOnly
					m := started(t, o)
					add(m)
					found, _ := m.Members()
					require.Len(t, found, i)
				}
			})
		}
	}
}
