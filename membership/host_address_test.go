package membership

import (
	"log/slog"
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

// A member that picks one of several addresses by itself names all of them in its log. It does not when the
// address is given, or when there is no choice.
func TestTheChoiceOfAnAddressIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		all  []hostAddress
		bind string
		want []string
	}{
		"several": {vagrant, "0.0.0.0:7946", []string{
			"WARN this host has several addresses, and one was picked to be announced: set Gossip.AdvertiseFrom or Gossip.AdvertiseAddr " +
				"picked=10.0.2.15 addresses=eth0 10.0.2.15, eth1 192.168.56.11, docker0 172.17.0.1",
		}},
		"one":              {vagrant[:3], "0.0.0.0:7946", nil},
		"one of each kind": {[]hostAddress{vagrant[2], vagrant[3]}, "0.0.0.0:7946", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLineLog(slog.LevelWarn)
			o := optionsOf(1)
			o.GossipAddr, o.Logger = c.bind, slog.New(h)
			m, err := New(o)
			require.NoError(t, err)
			m.warnOfChoice(c.all, netip.MustParseAddr("10.0.2.15"))
			require.Equal(t, c.want, h.take())
		})
	}
}

// A member with AdvertiseAddr or AdvertiseFrom makes no choice, and one that is bound to one address neither.
func TestNoChoiceOfAnAddress(t *testing.T) {
	for name, edit := range map[string]func(*Options){
		"AdvertiseAddr": func(o *Options) { o.Gossip.AdvertiseAddr = "127.0.0.1:7946" },
		"AdvertiseFrom": func(o *Options) { o.Gossip.AdvertiseFrom = "127.0.0.0/8" },
		"bound":         func(o *Options) { o.GossipAddr = "127.0.0.1:0" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newLineLog(slog.LevelWarn)
			o := Options{
				ClusterName: "orders", NodeID: "n1", GossipAddr: ":0", PartitionCount: 16, Configurations: []string{"x"}, Logger: slog.New(h),
			}
			edit(&o)
			m, err := New(o)
			require.NoError(t, err)
			require.NoError(t, m.Start(t.Context()))
			require.NoError(t, m.Stop(t.Context()))
			require.Empty(t, h.take())
		})
	}
}
