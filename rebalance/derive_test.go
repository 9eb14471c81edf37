package rebalance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
)

type place struct{ region, zone string }

// derive derives the table of one set of nodes from that of another, without package
// ring, and reports whether Derive did so. It compares the result with that of Assign.
func derive(t require.TestingT, partitions, replicas int, from, to []ring.Node) bool {
	topology := func(nodes []ring.Node) ring.Topology {
		nodes = slices.SortedFunc(slices.Values(nodes), func(a, b ring.Node) int { return strings.Compare(a.ID, b.ID) })
		return ring.Topology{Nodes: nodes, PartitionCount: partitions, Replicas: min(replicas, len(nodes))}
	}
	before, after := topology(from), topology(to)
	if before.Replicas != after.Replicas {
		return false // Derive is not called
	}
	table, want := ring.NewTable(before), ring.NewTable(after)
	require.NoError(t, rebalance.Rendezvous{}.Assign(before, table))
	require.NoError(t, rebalance.Rendezvous{}.Assign(after, want))
	rebalance.Renumber(before, after, table)
	if !(rebalance.Rendezvous{}).Derive(before, after, table) {
		return false
	}
	require.Equal(t, want.Slots(), table.Slots())
	return true
}

// altered draws a random change: nodes that leave, join, move to another zone or get
// another weight, none or several of each.
func altered(t *rapid.T, nodes []ring.Node) []ring.Node {
	nodes = slices.Clone(nodes)
	for range rapid.IntRange(0, min(3, len(nodes)-1)).Draw(t, "leaves") {
		i := rapid.IntRange(0, len(nodes)-1).Draw(t, "leaver")
		nodes = slices.Delete(nodes, i, i+1)
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "edits") {
		edited := &nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "edited")]
		other := node().Draw(t, "as")
		if rapid.Bool().Draw(t, "moves") {
			edited.Region, edited.Zone = other.Region, other.Zone
		} else {
			edited.Weight = other.Weight
		}
	}
	for _, joiner := range rapid.SliceOfN(node(), 0, 3).Draw(t, "joiners") {
		if !slices.ContainsFunc(nodes, func(n ring.Node) bool { return n.ID == joiner.ID }) {
			nodes = append(nodes, joiner)
		}
	}
	return nodes
}

// After any change the derived table equals the one that Assign computes. Clusters have
// all sizes: in small clusters a zone may have too few nodes, and Derive has to notice.
func TestDeriveIsAssign(t *testing.T) {
	derived, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := generated(1, 40).Draw(t, "cluster")
		asked++
		if derive(t, c.PartitionCount, rapid.IntRange(1, 6).Draw(t, "owners"), c.Nodes, altered(t, c.Nodes)) {
			derived++
		}
	})
	t.Log(derived, "derived of", asked)
	require.NotZero(t, derived)
}

// The same for clusters in which Derive does the work: each zone has enough nodes. The
// tables have hundreds of rows, so that a rare wrong row is found.
func TestDeriveIsAssignInLargerZones(t *testing.T) {
	derived, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var nodes []ring.Node
		weights := rapid.SampledFrom([][]int{{1}, {1, 2, 7}, {1, 1 << 20}, {1<<20 - 1, 1 << 20}}).Draw(t, "weights")
		replicas := rapid.IntRange(1, 6).Draw(t, "replicas")
		places := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) place {
			return place{rapid.SampledFrom([]string{"eu", "us", "asia"}).Draw(t, "region"), rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "zone")}
		}), 1, 8, rapid.ID).Draw(t, "places")
		for z, at := range places {
			for i := range rapid.IntRange(4, 9).Draw(t, "nodes of the zone") {
				nodes = append(nodes, ring.Node{ID: fmt.Sprint(i, z), Region: at.region, Zone: at.zone, Weight: rapid.SampledFrom(weights).Draw(t, "weight")})
			}
		}
		changed := slices.Clone(nodes)
		for range rapid.IntRange(0, 2).Draw(t, "leaves") {
			i := rapid.IntRange(0, len(changed)-1).Draw(t, "leaver")
			changed = slices.Delete(changed, i, i+1)
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "joins") {
			at := rapid.SampledFrom(places).Draw(t, "joins in")
			changed = append(changed, ring.Node{ID: rapid.SampledFrom([]string{"", "5", "z"}).Draw(t, "ID") + fmt.Sprint("-", i), Region: at.region, Zone: at.zone, Weight: rapid.SampledFrom(weights).Draw(t, "weight")})
		}
		asked++
		if derive(t, 400, replicas, nodes, changed) {
			derived++
		}
	})
	t.Log(derived, "derived of", asked)
	require.Greater(t, derived*2, asked, "most changes of such clusters can be derived")
}

// Every ring is derived from the one before, so that errors would add up.
func TestLongChainsOfChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := strategytest.Cluster{Nodes: generated(1, 30).Draw(t, "cluster").Nodes, PartitionCount: 64, ReplicationFactor: rapid.IntRange(1, 5).Draw(t, "replicas")}
		config := ring.Config{PartitionCount: c.PartitionCount, ReplicationFactor: c.ReplicationFactor, Strategy: rebalance.Rendezvous{}}
		var r *ring.Ring
		for range 30 {
			var err error
			r, err = ring.Rebuild(r, config, c.Nodes)
			require.NoError(t, err)
			require.Equal(t, build(t, rebalance.Rendezvous{}, c.PartitionCount, c.ReplicationFactor, c.Nodes).Fingerprint(), r.Fingerprint())
			c.Nodes = altered(t, c.Nodes)
		}
	})
}

// Derive must handle one node more or less in a zone that has enough nodes: it must not
// leave that case to Assign.
func TestDeriveTakesJoinsAndLeaves(t *testing.T) {
	for _, zones := range []int{1, 2, 3, 10} {
		for replicas := 1; replicas <= 5; replicas++ {
			nodes := uniform(zones, 6)
			for i := range nodes {
				without := slices.Delete(slices.Clone(nodes), i, i+1)
				require.True(t, derive(t, 300, replicas, nodes, without), "%d zones, leave", zones)
				require.True(t, derive(t, 300, replicas, without, nodes), "%d zones, join", zones)
			}
		}
	}
}

func TestDeriveLeavesTheRestToAssign(t *testing.T) {
	nodes := uniform(3, 2)
	grown := func(n ring.Node) []ring.Node { return append(slices.Clone(nodes), n) }
	weighted := slices.Clone(nodes)
	for i := range weighted {
		weighted[i].Weight = 2
	}
	for name, to := range map[string][]ring.Node{
		"a zone appears":                grown(ring.Node{ID: "x", Region: "eu", Zone: "new", Weight: 1}),
		"a zone disappears":             nodes[:4],
		"weights differ":                grown(ring.Node{ID: "x", Region: "eu", Zone: "eu-0", Weight: 2}),
		"every node has another weight": weighted,
		"no node stays":                 {{ID: "x", Weight: 1}, {ID: "y", Weight: 1}, {ID: "z", Weight: 1}},
	} {
		require.False(t, derive(t, 10, 3, nodes, to), name)
	}
	require.False(t, derive(t, 10, 5, nodes, nodes[:5]), "a zone runs out")
}
