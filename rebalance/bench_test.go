package rebalance_test

import (
	"fmt"
	"testing"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func BenchmarkAssign(b *testing.B) {
	for _, s := range []ring.RebalanceStrategy{rebalance.Rendezvous{}, rebalance.ConsistentHash{}, rebalance.RoundRobin{}, rebalance.Balanced{}} {
		for _, shape := range []struct{ zones, each int }{{1, 100}, {3, 10}, {100, 1}} {
			for _, weights := range []string{"equal", "random"} {
				b.Run(fmt.Sprintf("%s/%dx%d/%s", s.Name(), shape.zones, shape.each, weights), func(b *testing.B) {
					topology := ring.Topology{Nodes: uniform(shape.zones, shape.each), PartitionCount: 4096, Replicas: 3}
					for i := range topology.Nodes {
						if weights == "random" {
							topology.Nodes[i].Weight = 1 + i*7919%100
						}
					}
					table := ring.NewTable(topology)
					for b.Loop() {
						if err := s.Assign(topology, table); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	from := build(b, rebalance.Rendezvous{}, 4096, 3, uniform(1, 100))
	to := build(b, rebalance.Rendezvous{}, 4096, 3, uniform(1, 101))
	for b.Loop() {
		if _, err := rebalance.Diff(from, to); err != nil {
			b.Fatal(err)
		}
	}
}
