package rebalance_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// strategies are the strategies of this package.
var strategies = []ring.RebalanceStrategy{
	rebalance.Rendezvous{},
	rebalance.Rendezvous{Version: 1},
	rebalance.ConsistentHash{},
	rebalance.ConsistentHash{Version: 1},
	rebalance.ConsistentHash{Load: 1000, VirtualNodes: 1},
	rebalance.RoundRobin{},
	rebalance.Balanced{},
	rebalance.Balanced{Slack: option.None},
	rebalance.Balanced{Slack: 50},
	rebalance.Balanced{Overload: option.None},
	rebalance.Balanced{Version: 1},
	rebalance.Balanced{Version: 2},
	rebalance.Ordinal{Prefix: "node-0-"},
	rebalance.Ordinal{Prefix: "node-0-", Version: 1},
}

// each runs a test with every strategy.
func each(t *testing.T, property func(*rapid.T, ring.RebalanceStrategy)) {
	t.Helper()
	for _, s := range strategies {
		t.Run(s.Name(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { property(t, s) })
		})
	}
}

// node draws a random node: three regions of up to four zones, most weights small, some
// at the bounds.
func node() *rapid.Generator[ring.Node] {
	return rapid.Custom(func(t *rapid.T) ring.Node {
		return ring.Node{
			ID:     rapid.StringMatching(`[a-z0-9]{1,5}`).Draw(t, "id"),
			Region: rapid.SampledFrom([]string{"eu", "us", ""}).Draw(t, "region"),
			Zone:   rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "zone"),
			Weight: rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3, 100, 1 << 20}).Draw(t, "weight"),
		}
	})
}

func generated(least, most int) *rapid.Generator[strategytest.Cluster] {
	return rapid.Custom(func(t *rapid.T) strategytest.Cluster {
		return strategytest.Cluster{
			Nodes:             rapid.SliceOfNDistinct(node(), least, most, func(n ring.Node) string { return n.ID }).Draw(t, "nodes"),
			PartitionCount:    rapid.IntRange(1, 40).Draw(t, "partitions"),
			ReplicationFactor: rapid.IntRange(1, 16).Draw(t, "replicas"),
		}
	})
}

// uniform makes zones of equally many nodes.
func uniform(zones, each int) []ring.Node {
	var nodes []ring.Node
	for z := range zones {
		for i := range each {
			nodes = append(nodes, ring.Node{ID: fmt.Sprintf("node-%d-%d", z, i), Region: "eu", Zone: fmt.Sprintf("eu-%d", z), Weight: 1})
		}
	}
	return nodes
}

func build(t require.TestingT, s ring.RebalanceStrategy, partitions, replicas int, nodes []ring.Node) *ring.Ring {
	r, err := strategytest.Cluster{Nodes: nodes, PartitionCount: partitions, ReplicationFactor: replicas}.Build(s)
	require.NoError(t, err)
	return r
}

// slots counts how many partitions each node owns, and of how many it is primary.
func slots(r *ring.Ring) (owned, primary map[string]int) {
	owned, primary = make(map[string]int), make(map[string]int)
	for _, n := range r.Nodes() {
		owned[n.ID], primary[n.ID] = 0, 0
	}
	for _, p := range r.All() {
		for i, n := range p.All() {
			owned[n.ID()]++
			if i == 0 {
				primary[n.ID()]++
			}
		}
	}
	return owned, primary
}
