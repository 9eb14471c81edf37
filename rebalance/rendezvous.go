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
// Movement is minimal: when a node joins, each row gives at most one slot to it, and no
// other slot changes. When it leaves, only its own slots change. More moves only where
// the spread over zones requires it: when a zone appears, disappears, or has fewer
// nodes than its part of a row.
//
// Load is random: the deviation of a node's load is about the square root of the mean.
// With 100 nodes, 4096 partitions and three owners the fullest node carries about a
// quarter more than the mean. No node's load is bounded.
//
// Primaries are in proportion to weights. So are other owners, as long as a node's fair
// share of its zone's slots is small, because a node can own a row only once. In one
// zone of 30 nodes of weight 1 and 15 of weight 2 with three owners, a heavy node
// carries three percent less than two light ones. A zone carries its part of every row,
// whatever the weights of its nodes.
//
// Assign takes time in proportion to nodes times partitions, and never fails. Derive
// gives the same table. It takes time in proportion to partitions times joining nodes,
// plus nodes times the rows that lose an owner. The zero value is ready to use, and
// safe for concurrent use.
type Rendezvous struct{}

// Name returns "rendezvous/1".
func (Rendezvous) Name() string { return "rendezvous/1" }

// Assign implements [ring.RebalanceStrategy].
func (Rendezvous) Assign(t ring.Topology, table ring.Table) error {
	complete(t, table, 0)
	return nil
}

// complete fills the rest of each row of a table, after the given number of first
// owners.
func complete(t ring.Topology, table ring.Table, given int) {
	layout := newLayout(t.Nodes)
	f := newFiller(layout, newScorer(t.Nodes), layout.depth(t.Replicas))
	for p := range t.PartitionCount {
		f.fill(table.Row(p), given, partitionKey(p))
	}
}

// filler fills rows one after the other, and uses its buffers again for each.
type filler struct {
	layout layout
	pick   *picker
	score  scorer
	lists  [][]candidate // for the present row, the cheapest nodes of each zone
	drawn  []int         // the number of owners that the row has taken from each zone
	heads  []uint64      // the cost of the next node of each zone
	keys   [][]uint64    // the scorer's keys of each zone's nodes, side by side
}

// newFiller makes a filler for rows that take at most depth owners of a zone.
func newFiller(l layout, s scorer, depth int) *filler {
	f := &filler{
		layout: l,
		pick:   newPicker(l),
		score:  s,
		lists:  make([][]candidate, len(l.zones)),
		drawn:  make([]int, len(l.zones)),
		heads:  make([]uint64, len(l.zones)),
		keys:   make([][]uint64, len(l.zones)),
	}
	for z, zone := range l.zones {
		f.lists[z] = make([]candidate, 0, depth)
		for _, n := range zone.nodes {
			f.keys[z] = append(f.keys[z], s.keys[n])
		}
	}
	return f
}

// fill fills the rest of a row, after the given number of first owners, with the
// cheapest nodes.
func (f *filler) fill(row []uint16, given int, key uint64) {
	f.pick.reset()
	for _, n := range row[:given] {
		f.pick.take(f.layout.zoneOf[n])
	}
	for z := range f.lists {
		f.cheapest(z, key, row[:given])
	}
	f.draw(row[given:])
}

// draw fills a row from the lists.
func (f *filler) draw(row []uint16) {
	for z, list := range f.lists {
		f.heads[z], f.drawn[z] = head(list, 0), 0
	}
	for i := range row {
		z := f.pick.next(f.heads)
		row[i] = f.lists[z][f.drawn[z]].node
		f.pick.take(z)
		f.drawn[z]++
		f.heads[z] = head(f.lists[z], f.drawn[z])
	}
}

// candidate is a node with its cost for the present partition.
type candidate struct {
	cost uint64
	node uint16
}

// before orders the candidates of one zone.
func (c candidate) before(d candidate) bool {
	return c.cost < d.cost || c.cost == d.cost && c.node < d.node
}

// head returns the cost of the i-th candidate. A list ends where its zone has no more
// nodes, or has given as many owners as the balance of zones allows.
func head(list []candidate, i int) uint64 {
	if i < len(list) {
		return list[i].cost
	}
	return ^uint64(0)
}

// cheapest fills a zone's list up to its capacity with the cheapest of its
// nodes, in ascending order of cost; ties go to the lower node.
func (f *filler) cheapest(z int, key uint64, except []uint16) {
	f.lists[z] = f.lists[z][:0]
	if f.score.weights == nil {
		f.cheapestOfEqual(z, key, except)
		return
	}
	for _, n := range f.layout.zones[z].nodes {
		if list := f.lists[z]; len(list) == cap(list) && !f.score.cheaper(key, n, list[len(list)-1].cost) {
			continue
		}
		if !slices.Contains(except, n) {
			f.enlist(z, candidate{f.score.cost(key, n), n})
		}
	}
}

// cheapestOfEqual is cheapest for nodes of equal weight, where the highest hash costs
// least. Once the list is full, hardly any node gets into it. So cheapestOfEqual tries
// four nodes at a time, because the processor computes their hashes in parallel, and
// only tests whether one of the hashes is high enough.
func (f *filler) cheapestOfEqual(z int, key uint64, except []uint16) {
	nodes, keys := f.layout.zones[z].nodes, f.keys[z]
	full, least := false, uint64(0) // with a full list, a node needs a higher hash
	try := func(i int, hash uint64) {
		if full && hash <= least || slices.Contains(except, nodes[i]) {
			return
		}
		f.enlist(z, candidate{^hash, nodes[i]})
		if list := f.lists[z]; len(list) == cap(list) {
			full, least = true, ^list[len(list)-1].cost
		}
	}
	i := 0
	for ; i+4 <= len(keys); i += 4 {
		four := keys[i : i+4 : i+4]
		a, b := mix(four[0]^key), mix(four[1]^key)
		c, d := mix(four[2]^key), mix(four[3]^key)
		if full && max(a, b, c, d) <= least {
			continue
		}
		try(i, a)
		try(i+1, b)
		try(i+2, c)
		try(i+3, d)
	}
	for ; i < len(keys); i++ {
		try(i, mix(keys[i]^key))
	}
}

// enlist inserts a candidate into a zone's list, and drops the last one when the list
// is full.
func (f *filler) enlist(z int, c candidate) {
	list := f.lists[z]
	if len(list) < cap(list) {
		list = append(list, candidate{})
	} else if !c.before(list[len(list)-1]) {
		return
	}
	i := len(list) - 1
	for ; i > 0 && c.before(list[i-1]); i-- {
		list[i] = list[i-1]
	}
	list[i] = c
	f.lists[z] = list
}
