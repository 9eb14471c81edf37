// Package testkit has helpers for the tests of several packages below transport: a
// cluster, a guard, servers, clients, and certificates in files. Programs must not import
// it.
package testkit

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Cluster is a cluster with a fixed view. It panics with Boom if that is set.
type Cluster struct {
	Shown     route.View
	Condition api.Health
	Happened  []api.Event
	Gone      []api.LostMember
	Boom      any
	Actor
}

// View implements transport.Cluster.
func (c *Cluster) View() route.View {
	if c.Boom != nil {
		panic(c.Boom)
	}
	return c.Shown
}

// Health implements transport.Cluster.
func (c *Cluster) Health() api.Health {
	if c.Boom != nil {
		panic(c.Boom)
	}
	return c.Condition
}

// Stairs is a strategy that puts owner i of partition p on node p+i. So a reader can
// check the documents in testdata, and they do not depend on a real strategy.
type Stairs struct{}

// Name implements ring.RebalanceStrategy.
func (Stairs) Name() string { return "stairs/1" }

// Assign implements ring.RebalanceStrategy.
func (Stairs) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			table.Row(p)[i] = uint16((p + i) % len(t.Nodes))
		}
	}
	return nil
}

// Nodes returns four nodes, in two regions.
var Nodes = []ring.Node{
	{ID: "n1", Region: "eu", Zone: "eu-1a"},
	{ID: "n2", Region: "eu", Zone: "eu-1b", Weight: 2},
	{ID: "n3", Region: "us", Zone: "us-1a"},
	{ID: "n4", Region: "us", Zone: "us-1b"},
}

// Build makes a ring of two replicas.
func Build(tb testing.TB, s ring.RebalanceStrategy, partitions int, nodes ...ring.Node) *ring.Ring {
	tb.Helper()
	r, err := ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: 2, Strategy: s}, nodes)
	require.NoError(tb, err)
	return r
}

// NewCluster returns a cluster of four members, of which n4 is an observer without
// an HTTP address.
func NewCluster(tb testing.TB) *Cluster {
	tb.Helper()
	started := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	members := make([]membership.Member, 0, len(Nodes))
	for i, n := range Nodes {
		m := membership.Member{
			ID: n.ID, Region: n.Region, Zone: n.Zone, Weight: max(n.Weight, 1),
			Addr:           netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7946),
			HTTPAddr:       fmt.Sprintf("10.0.0.%d:8080", i+1),
			PartitionCount: 8,
			Configurations: []string{"2,stairs/1"},
			State:          membership.Active,
			Started:        started,
		}
		members = append(members, m)
	}
	members[0].Version = "v1.4.2"
	members[0].Services = map[string]string{"kv": "10.0.0.1:9000", "admin": "10.0.0.1:9001"}
	members[0].Metadata = map[string]string{"rack": "r7 <left>"}
	members[3].State, members[3].HTTPAddr = membership.Observer, ""

	r := Build(tb, Stairs{}, 8, Nodes[:3]...)
	return &Cluster{
		Shown: route.View{
			ClusterName: "orders", NodeID: "n1", Version: 3,
			Ring: r, Members: members, Fingerprint: r.Fingerprint(), Configuration: "2,stairs/1",
		},
		Condition: api.Health{
			Ready: true, Healthy: true, State: "active", Members: 4, Agreed: true,
			Fingerprint: r.Fingerprint(), LastSync: started.Add(time.Minute),
		},
		Gone: []api.LostMember{{ID: "n5", Region: "us", Zone: "us-1b", Addr: netip.MustParseAddrPort("10.0.0.5:7946"), Since: started.UTC()}},
		Happened: []api.Event{
			{ID: "5eed-1", Kind: "member-joined", At: started.UTC(), Text: "n3 joined, as active", Member: "n3", After: "active"},
			{ID: "5eed-2", Kind: "ring-changed", At: started.Add(time.Second).UTC(), Text: "another ring: 8 partitions move", Fingerprint: new(r.Fingerprint())},
		},
	}
}

// Moving gives the cluster's ring a target that also has n4.
func (c *Cluster) Moving(tb testing.TB) *Cluster {
	tb.Helper()
	r, err := c.Shown.Ring.Toward(Build(tb, Stairs{}, 8, Nodes...))
	require.NoError(tb, err)
	c.Shown.Ring, c.Shown.Fingerprint = r, r.Fingerprint()
	return c
}

// Quiet returns a logger that logs nothing.
func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// MakeHandler is NewHandler for valid options.
func MakeHandler(c transport.Cluster, o transport.HandlerOptions) *transport.Handler {
	h, err := transport.NewHandler(c, o)
	if err != nil {
		panic(err)
	}
	return h
}

// NewHandler is MakeHandler with default options.
func NewHandler(c transport.Cluster) *transport.Handler {
	return MakeHandler(c, transport.HandlerOptions{Logger: Quiet()})
}
