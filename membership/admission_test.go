package membership

import (
	"errors"
	"net"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func nodeOf(t require.TestingT, m Member) *memberlist.Node {
	meta, err := encodeMeta(m)
	require.NoError(t, err)
	return &memberlist.Node{Name: memberName(m), Addr: m.Addr.Addr().AsSlice(), Port: m.Addr.Port(), Meta: meta}
}

func TestAdmit(t *testing.T) {
	m := fullMember()
	a := newAdmission(m.PartitionCount, []string{"another", m.Configurations[1]})

	got, err := a.admit(nodeOf(t, m))
	require.NoError(t, err)
	require.Equal(t, m, got)
}

func TestAdmitRefusesMalformed(t *testing.T) {
	m := fullMember()
	a := newAdmission(m.PartitionCount, m.Configurations)
	for _, tc := range []struct {
		name, want string
		spoil      func(*memberlist.Node)
	}{
		{"no address", "membership: gossip address has 0 bytes, not 4 or 16", func(n *memberlist.Node) { n.Addr = nil }},
		{"3 bytes", "membership: gossip address has 3 bytes, not 4 or 16", func(n *memberlist.Node) { n.Addr = []byte{1, 2, 3} }},
		{"17 bytes", "membership: gossip address has 17 bytes, not 4 or 16", func(n *memberlist.Node) { n.Addr = make([]byte, 17) }},
		{"v4 in v6", "membership: gossip address 10.0.0.1 is of IPv4, and has 16 bytes, not 4", func(n *memberlist.Node) { n.Addr = net.IPv4(10, 0, 0, 1).To16() }},
		{"any v4", "membership: gossip address: 0.0.0.0 means any address, not one that others can reach", func(n *memberlist.Node) { n.Addr = make([]byte, 4) }},
		{"any v6", "membership: gossip address: :: means any address, not one that others can reach", func(n *memberlist.Node) { n.Addr = make([]byte, 16) }},
		{"any v4 in v6", "membership: gossip address: 0.0.0.0 means any address, not one that others can reach", func(n *memberlist.Node) { n.Addr = net.IPv4zero.To16() }},
		{"multicast", "membership: gossip address: 224.0.0.1 is a group of hosts, not one", func(n *memberlist.Node) { n.Addr = net.IPv4(224, 0, 0, 1).To4() }},
		{"multicast in v6", "membership: gossip address: 224.0.0.1 is a group of hosts, not one", func(n *memberlist.Node) { n.Addr = net.IPv4(224, 0, 0, 1).To16() }},
		{"multicast v6", "membership: gossip address: ff02::1 is a group of hosts, not one", func(n *memberlist.Node) { n.Addr = net.ParseIP("ff02::1") }},
		{"broadcast", "membership: gossip address: 255.255.255.255 is a group of hosts, not one", func(n *memberlist.Node) { n.Addr = net.IPv4bcast.To4() }},
		{"port 0", "membership: gossip address has port 0", func(n *memberlist.Node) { n.Port = 0 }},
		{"no name", `membership: gossip name "" is not a NodeID, '~' and 16 hexadecimal digits`, func(n *memberlist.Node) { n.Name = "" }},
		{"no metadata", `membership: decoding metadata of "orders-1~0000000000000abc": there is none: is this a clusterkit member?`, func(n *memberlist.Node) { n.Meta = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := nodeOf(t, m)
			tc.spoil(n)
			got, err := a.admit(n)
			require.EqualError(t, err, tc.want)
			require.Zero(t, got)
			require.NotErrorIs(t, err, ErrConfiguration)
		})
	}
}

func TestAdmitRefusesOtherConfiguration(t *testing.T) {
	m := fullMember()
	_, err := newAdmission(1024, m.Configurations).admit(nodeOf(t, m))
	require.EqualError(t, err, `membership: member "orders-1" at 10.0.0.7:7946: incompatible configuration: `+
		`PartitionCount is 4096 there and 1024 here: it is fixed for a cluster's life, start every member with the same`)
	require.ErrorIs(t, err, ErrConfiguration)
	var refusal *ConfigurationError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, ConfigurationError{NodeID: "orders-1", Addr: metaAddr, Field: "PartitionCount", Ours: "1024", Theirs: "4096"}, *refusal)

	_, err = newAdmission(4096, []string{"rf=2 roundrobin/1"}).admit(nodeOf(t, m))
	require.EqualError(t, err, `membership: member "orders-1" at 10.0.0.7:7946: incompatible configuration: `+
		`Configurations is ["rf=3 balanced/1" "rf=3 rendezvous/1"] there and ["rf=2 roundrobin/1"] here: `+
		`none in common; to change it, first accept both everywhere by a rolling restart, then drop the old one by another`)
	require.ErrorIs(t, err, ErrConfiguration)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "Configurations", refusal.Field)
}

func TestAdmissionIsSymmetric(t *testing.T) {
	configurations := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(id string) Member {
			m := smallMember()
			m.ID = id
			m.PartitionCount = rapid.IntRange(1, 2).Draw(t, "partitions of "+id)
			m.Configurations = configurations.Draw(t, "configurations of "+id)
			return m
		}
		x, y := draw("x"), draw("y")
		_, xRefuses := newAdmission(x.PartitionCount, x.Configurations).admit(nodeOf(t, y))
		_, yRefuses := newAdmission(y.PartitionCount, y.Configurations).admit(nodeOf(t, x))
		require.Equal(t, xRefuses == nil, yRefuses == nil)
		if xRefuses == nil {
			return
		}
		a, okA := errors.AsType[*ConfigurationError](xRefuses)
		b, okB := errors.AsType[*ConfigurationError](yRefuses)
		require.True(t, okA && okB)
		require.Equal(t, a.Field, b.Field)
		require.Equal(t, a.Ours, b.Theirs)
		require.Equal(t, a.Theirs, b.Ours)
	})
}

func TestAdmissionAcceptsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMember(t)
		if len(m.Configurations) == 0 {
			m.Configurations = []string{"one"}
		}
		got, err := newAdmission(m.PartitionCount, m.Configurations).admit(nodeOf(t, m))
		require.NoError(t, err)
		requireSameMember(t, m, got)
	})
}

func FuzzAdmit(f *testing.F) {
	m := fullMember()
	n := nodeOf(f, m)
	f.Add(n.Name, []byte(n.Addr), n.Port, n.Meta)
	f.Add("", []byte{1, 2, 3}, uint16(0), []byte(nil))
	a := newAdmission(m.PartitionCount, m.Configurations)
	f.Fuzz(func(t *testing.T, name string, addr []byte, port uint16, meta []byte) {
		got, err := a.admit(&memberlist.Node{Name: name, Addr: addr, Port: port, Meta: meta})
		if err != nil {
			require.Zero(t, got)
			require.Less(t, len(err.Error()), 16<<10)
			return
		}
		require.Equal(t, name, memberName(got))
		require.True(t, got.Addr.IsValid())
		require.Equal(t, m.PartitionCount, got.PartitionCount)
	})
}
