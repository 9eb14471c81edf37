package rebalance

import "github.com/clusterkit/clusterkit/ring"

// RoundRobin gives partitions to the nodes in turn. It is the simplest strategy, and
// its tables are easy to compute by hand.
//
// Loads differ by one slot at most, or by two when there are several regions, as long as all
// zones have equally many nodes and all regions equally many zones. The loads of the nodes of
// one zone always differ by one at most. Owners are spread over zones and regions as by
// [Rendezvous]. This spread comes before equal loads: if a zone of few nodes must hold an owner
// of every row, its nodes carry more. The primary of each row is the owner that has been
// primary least often so far.
//
// It is not stable: a node that joins or leaves shifts all nodes after it, and nearly
// every slot changes its owner. It ignores weights. So it is for clusters of fixed
// members, for data that costs nothing to move, and for tests.
//
// Assign takes time in proportion to partitions times owners times zones, and
// never fails. The zero value is ready to use, and safe for concurrent use.
type RoundRobin struct{}

// Name returns "round-robin/1".
func (RoundRobin) Name() string { return "round-robin/1" }

// Assign implements [ring.RebalanceStrategy].
func (RoundRobin) Assign(t ring.Topology, table ring.Table) error {
	layout := newLayout(t.Nodes)
	pick := newPicker(layout, quotas{}, t.PartitionCount)
	dealt := make([]int, len(layout.zones))   // the number of slots of each zone
	laps := make([]uint64, len(layout.zones)) // the number of slots of each zone divided by its nodes, times 2^32
	primaries := make([]int, len(t.Nodes))
	for p := range t.PartitionCount {
		row := table.Row(p)
		pick.begin(p)
		for i := range row {
			z := pick.next(laps)
			nodes := layout.zones[z].nodes
			row[i] = nodes[dealt[z]%len(nodes)]
			pick.take(z)
			dealt[z]++
			laps[z] = uint64(dealt[z]) << 32 / uint64(len(nodes))
		}
		first := 0
		for i, n := range row {
			if primaries[n] < primaries[row[first]] {
				first = i
			}
		}
		primaries[row[first]]++
		row[0], row[first] = row[first], row[0]
	}
	return nil
}
