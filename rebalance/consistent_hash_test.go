package rebalance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// The package consistent panics when it finds no room. At every valid load there is
// room, and the bound holds.
func TestConsistentHashHasRoom(t *testing.T) {
	for n := 1; n <= 60; n++ {
		nodes := uniform(1, n)
		for _, partitions := range []int{1, n - 1, n, n + 1, 271} {
			if partitions < 1 {
				continue
			}
			for _, s := range []rebalance.ConsistentHash{
				{Load: 1000, VirtualNodes: 1},
				{Load: 1000 + 1, VirtualNodes: 2},
				{},
			} {
				r := build(t, s, partitions, 3, nodes)
				load := max(s.Load, 1000)
				if s.Load == 0 {
					load = 1250
				}
				bound := (partitions*load + 1000*n - 1) / (1000 * n)
				if partitions*load%(1000*n) == 0 && load != 1000 {
					bound++ // the bound is computed as a float, and may be rounded up from a whole number
				}
				_, primary := slots(r)
				for id, count := range primary {
					require.LessOrEqual(t, count, bound, "%s of %d nodes, %d partitions, %s", id, n, partitions, s.Name())
				}
			}
		}
	}
}

func TestConsistentHashBounds(t *testing.T) {
	const load = "Load is %d: must be between 1000 and 10000"
	const vnodes = "VirtualNodes is %d: must be between 1 and 1000"
	for _, tc := range []struct {
		strategy rebalance.ConsistentHash
		want     string
	}{
		{rebalance.ConsistentHash{}, ""},
		{rebalance.ConsistentHash{Load: 1000, VirtualNodes: 1}, ""},
		{rebalance.ConsistentHash{Load: 10_000, VirtualNodes: 1000}, ""},
		{rebalance.ConsistentHash{Load: 999}, fmt.Sprintf(load, 999)},
		{rebalance.ConsistentHash{Load: 10_001}, fmt.Sprintf(load, 10_001)},
		{rebalance.ConsistentHash{Load: -1}, fmt.Sprintf(load, -1)},
		{rebalance.ConsistentHash{VirtualNodes: -1}, fmt.Sprintf(vnodes, -1)},
		{rebalance.ConsistentHash{VirtualNodes: 1001}, fmt.Sprintf(vnodes, 1001)},
		{rebalance.ConsistentHash{Load: 1, VirtualNodes: 2000}, fmt.Sprintf(load+"\n"+vnodes, 1, 2000)},
	} {
		config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: tc.strategy}
		r, err := ring.Build(config, uniform(1, 2))
		if tc.want == "" {
			require.NoError(t, err)
			require.Equal(t, 2, r.Replicas())
			continue
		}
		under := "Strategy." + strings.ReplaceAll(tc.want, "\n", "\nStrategy.")
		require.EqualError(t, err, "ring: invalid configuration: "+under)
		require.EqualError(t, config.Validate(), under)
		topology := ring.Topology{Nodes: uniform(1, 2), PartitionCount: 8, Replicas: 2}
		require.EqualError(t, tc.strategy.Assign(topology, ring.NewTable(topology)), "rebalance: consistent hash: "+tc.want)
	}
}
