package rebalance_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
)

// A node of weight 2w carries as much as two nodes of weight w.
func TestWeights(t *testing.T) {
	for _, tc := range []struct {
		name     string
		zones    int
		replicas int
		light    int
	}{
		{"primaries", 1, 1, 1},
		{"one zone", 1, 3, 1},
		{"one zone, heavy", 1, 3, 1 << 19},
		{"one zone, odd", 1, 3, 777},
		{"zones", 3, 3, 1},
		{"zones, heavy", 3, 3, 1 << 19},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var nodes []ring.Node
			for z := range tc.zones {
				for i := range 30 {
					nodes = append(nodes, ring.Node{ID: fmt.Sprintf("light-%d-%d", z, i), Zone: fmt.Sprint(z), Weight: tc.light})
				}
				for i := range 15 {
					nodes = append(nodes, ring.Node{ID: fmt.Sprintf("heavy-%d-%d", z, i), Zone: fmt.Sprint(z), Weight: 2 * tc.light})
				}
			}
			for _, s := range []ring.RebalanceStrategy{rebalance.Rendezvous{}, rebalance.Balanced{}} {
				owned, _ := slots(build(t, s, 16384, tc.replicas, nodes))
				light, heavy := 0, 0
				for id, n := range owned {
					if id[0] == 'l' {
						light += n
					} else {
						heavy += n
					}
				}
				t.Log(s.Name(), "light", light, "heavy", heavy)
				require.InEpsilon(t, light, heavy, 0.10, s.Name())
			}
		})
	}
}

// A node a million times heavier than the others is in nearly every row, and the others
// share the other slots.
func TestExtremeWeights(t *testing.T) {
	nodes := uniform(1, 9)
	nodes[4].Weight = 1 << 20
	owned, primary := slots(build(t, rebalance.Rendezvous{}, 4096, 2, nodes))
	require.Equal(t, 4096, owned["node-0-4"])
	require.GreaterOrEqual(t, primary["node-0-4"], 4090)
	for _, n := range nodes {
		if n.Weight == 1 {
			require.InDelta(t, 4096/8, owned[n.ID], 120, n.ID)
		}
	}
}

// Scaling all weights does not change the table, and equal weights give the table of
// the general code.
func TestOnlyRatiosOfWeightsCount(t *testing.T) {
	nodes := uniform(3, 5)
	table := func(weights func(i int) int) (rows [][]string) {
		list := slices.Clone(nodes)
		for i := range list {
			list[i].Weight = weights(i)
		}
		for _, p := range build(t, rebalance.Rendezvous{}, 4096, 3, list).All() {
			var row []string
			for _, n := range p.All() {
				row = append(row, n.ID())
			}
			rows = append(rows, row)
		}
		return rows
	}
	require.Equal(t, table(func(int) int { return 1 }), table(func(int) int { return 4096 }))
	require.Equal(t, table(func(i int) int { return 1 + i }), table(func(i int) int { return 4096 * (1 + i) }))
}

// Only ratios of weights count: members of the largest weight have the table that they have with
// weight 1, whatever the sum of the weights of a zone.
func TestWeightsAreRatios(t *testing.T) {
	for _, zones := range [][]int{{512, 300, 100}, {100, 100, 512}, {1024, 512, 70}, {513, 300, 100}, {16, 12, 8, 4}} {
		c := strategytest.Cluster{Nodes: seeded(1, 1, zones...), PartitionCount: 1024, ReplicationFactor: 2}
		heavy := c.With()
		for i := range heavy.Nodes {
			heavy.Nodes[i].Weight = 1 << 20
		}
		for _, s := range []ring.RebalanceStrategy{rebalance.Balanced{}, rebalance.Balanced{Version: 1}, rebalance.Balanced{Version: 2}, rebalance.Rendezvous{}} {
			require.Equal(t, ownersOf(t, s, c), ownersOf(t, s, heavy), "%s: %v", s.Name(), zones)
		}
	}
}
