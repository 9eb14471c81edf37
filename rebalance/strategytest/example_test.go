package strategytest_test

import (
	"fmt"

	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
)

// inTurn is a strategy that gives partitions to the nodes in turn. It ignores zones.
type inTurn struct{}

func (inTurn) Name() string { return "in-turn/1" }

func (inTurn) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			table.Row(p)[i] = uint16((p + i) % len(t.Nodes))
		}
	}
	return nil
}

func ExampleCheck() {
	fmt.Println("without zones:", strategytest.Check(inTurn{}, strategytest.Options{AnyZones: true}))

	err := strategytest.CheckCluster(inTurn{}, strategytest.Cluster{
		PartitionCount:    12,
		ReplicationFactor: 2,
		Nodes:             []ring.Node{{ID: "a", Zone: "1"}, {ID: "b", Zone: "1"}, {ID: "c", Zone: "2"}},
	}, strategytest.Options{})
	fmt.Println("with zones:", err)
	// Output:
	// without zones: <nil>
	// with zones: partition 0: 2 owners in zone { 1}, 0 in { 2}
}
