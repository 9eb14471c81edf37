package membership

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// vagrant holds the addresses of a virtual machine. eth0 is behind a router of its own, and other
// machines reach eth1.
var vagrant = []hostAddress{
	{"lo", netip.MustParseAddr("127.0.0.1")}, {"eth0", netip.MustParseAddr("fe80::1")},
	{"eth0", netip.MustParseAddr("10.0.2.15")}, {"eth1", netip.MustParseAddr("fd00::7")},
	{"eth1", netip.MustParseAddr("192.168.56.11")}, {"docker0", netip.MustParseAddr("172.17.0.1")},
	{"wg0", netip.MustParseAddr("fd01::7")},
}

func TestAddressFrom(t *testing.T) {
	for from, want := range map[string]string{
		"eth1": "192.168.56.11", "192.168.0.0/16": "192.168.56.11", "eth0": "10.0.2.15", "fd00::/16": "fd00::7",
		"wg0": "fd01::7", "lo": "127.0.0.1", "127.0.0.0/8": "127.0.0.1",
	} {
		got, err := addressFrom(vagrant, from, false)
		require.NoError(t, err, from)
		require.Equal(t, want, got.String())
	}
	_, err := addressFrom(vagrant, "eth9", false)
	require.EqualError(t, err, `membership: this host has no address on interface or in network "eth9" (Gossip.AdvertiseFrom): `+
		"it has eth0 10.0.2.15, eth1 fd00::7, eth1 192.168.56.11, docker0 172.17.0.1, wg0 fd01::7")
	_, err = addressFrom(vagrant, "wg0", true)
	require.Error(t, err, "GossipAddr is IPv4")
	require.Len(t, usualAddresses(vagrant, true), 3)
}

func TestAdvertiseFrom(t *testing.T) {
	o := Options{
		ClusterName: "orders", NodeID: "n1", GossipAddr: ":0", PartitionCount: 16, Configurations: []string{"x"},
		Gossip: GossipOptions{AdvertiseFrom: "127.0.0.0/8"},
	}
	m, err := New(o)
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	require.Equal(t, "127.0.0.1", m.Local().Addr.Addr().String())
	require.NoError(t, m.Stop(t.Context()))

	o.Gossip.AdvertiseFrom = "203.0.113.0/24"
	m, err = New(o)
	require.NoError(t, err)
	require.ErrorContains(t, m.Start(t.Context()), `no address on interface or in network "203.0.113.0/24"`)
}
