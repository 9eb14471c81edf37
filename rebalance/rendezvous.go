package rebalance

import (
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Rendezvous places a partition on the nodes that score highest for it, where a
// node's score is a hash of the two: highest random weight hashing (Thaler and
// Ravishankar, 1998), weighted after Schindelhauer and Schomaker (2005) in
// integer arithmetic.
//
// The first owner of a row, its primary, is the node of the best score of all.
// Each further owner is the best among the nodes of the zones that the row has
// used least, and of these of the regions it has used least. A row therefore
// spans as many zones as it has owners or the cluster has zones, with counts
// that differ by at most one unless a zone runs out of nodes, and as many
// regions as that permits.
//
// Movement is minimal: when a node joins, each row gives up one owner to it at
// most and no other slot changes; when it leaves, only its own slots do. More
// moves only where the zones themselves ask for it, as when a zone appears,
// disappears, or is smaller than its part of a row.
//
// Load is as even as chance makes it: the deviation of a node's load is about
// the square root of its mean, so with 100 nodes, 4096 partitions and three
// owners the fullest node carries about a quarter more than the mean. No node's
// load is bounded.
//
// Weights hold for the primaries. They hold for the other owners as long as a
// node's fair share of its zone's slots is small, since it can own a row only
// once: in one zone of 30 nodes of weight 1 and 15 of weight 2 with three
// owners, a heavy node carries three percent less than two light ones. A zone
// carries its part of every row, whatever the weight of its nodes.
//
// Assign takes time in proportion to nodes times partitions, and never fails.
// The zero value is ready to use, and safe for concurrent use.
type Rendezvous struct{}

// Name returns "rendezvous/1".
func (Rendezvous) Name() string { return "rendezvous/1" }

// Assign implements [ring.RebalanceStrategy].
func (Rendezvous) Assign(t ring.Topology, table ring.Table) error {
	complete(t, table, 0)
	return nil
}

// complete fills the rows of a table whose first given owners stand already.
func complete(t ring.Topology, table ring.Table, given int) {
	layout := newLayout(t.Nodes)
	pick := newPicker(layout)
	score := newScorer(t.Nodes)
	depth := layout.depth(t.Replicas)
	lists := make([][]candidate, len(layout.zones))
	for z := range lists {
		lists[z] = make([]candidate, 0, depth)
	}
	heads := make([]uint64, len(layout.zones))
	drawn := make([]int, len(layout.zones))

	for p := range t.PartitionCount {
		row := table.Row(p)
		key := partitionKey(p)
		pick.reset()
		for _, n := range row[:given] {
			pick.take(layout.zoneOf[n])
		}
		for z := range layout.zones {
			lists[z] = score.cheapest(lists[z][:0], layout.zones[z].nodes, key, row[:given])
			heads[z], drawn[z] = head(lists[z], 0), 0
		}
		for i := given; i < len(row); i++ {
			z := pick.next(heads)
			row[i] = lists[z][drawn[z]].node
			pick.take(z)
			drawn[z]++
			heads[z] = head(lists[z], drawn[z])
		}
	}
}

// candidate is a node with its cost for the partition at hand.
type candidate struct {
	cost uint64
	node uint16
}

// head is the cost of the i-th candidate. A list ends where its zone has no
// more nodes, or has given all that the zones' balance lets it.
func head(list []candidate, i int) uint64 {
	if i < len(list) {
		return list[i].cost
	}
	return ^uint64(0)
}

// cheapest fills a list up to its capacity with the cheapest of the nodes, in
// ascending order of cost; ties go to the lower node.
func (s *scorer) cheapest(list []candidate, nodes []uint16, key uint64, except []uint16) []candidate {
	for _, n := range nodes {
		cost := s.cost(key, n)
		if len(list) == cap(list) && cost >= list[len(list)-1].cost {
			continue
		}
		if slices.Contains(except, n) {
			continue
		}
		if len(list) < cap(list) {
			list = append(list, candidate{})
		}
		i := len(list) - 1
		for ; i > 0 && list[i-1].cost > cost; i-- {
			list[i] = list[i-1]
		}
		list[i] = candidate{cost, n}
	}
	return list
}
