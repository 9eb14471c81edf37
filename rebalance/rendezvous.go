package rebalance

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Rendezvous places a partition on the nodes that score highest for it. A node's score is a
// hash of node and partition: highest random weight hashing (Thaler and Ravishankar, 1998),
// weighted after Schindelhauer and Schomaker (2005) in integer arithmetic.
//
// The first owner of a row, its primary, is the node of the best score of all. Each further
// owner is the best among the nodes of the zones that the row has used least, and of these of
// the regions it has used least. A row therefore spans as many zones as it has owners or the
// cluster has zones, and as many regions as that permits. The counts of zones differ by at most
// one, unless a zone runs out of nodes.
//
// Movement is minimal: when a node joins, each row gives at most one slot to it, and no
// other slot changes. When it leaves, only its own slots change. More moves only where
// the spread over zones requires it: when a zone appears, disappears, or has fewer
// nodes than its part of a row.
//
// A zone or region with too few nodes has no owner in some rows, so that the spread over zones and
// regions gives no node more than twice its fair share. These rows span fewer zones or regions.
// Their number depends on the number of nodes, so that a change moves more slots. Zones from which
// rows can choose have no such bound.
//
// Load is random, but more even than with plain hashes: a node's score for a partition is
// the partition's rank in a permutation keyed by the node, as in Maglev (Eisenbud et al.,
// 2016). With 100 nodes, 4096 partitions and three owners the fullest node carries about a
// sixth more than the mean.
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
type Rendezvous struct {
	// Version is the version of the algorithm: 1 to 4. Zero means 4. The others are for the
	// rolling change from a release that had no newer one. In version 3 rows always span as many
	// regions as their zones permit, whatever a member then carries. In versions 1 and 2 rows also
	// span as many zones as possible, whatever a member then carries. In version 1 scores are
	// plain hashes, and load varies by nearly twice as much.
	Version int
}

func (r Rendezvous) withDefaults() Rendezvous {
	r.Version = cmp.Or(r.Version, 4)
	return r
}

// Name returns the algorithm and its version, "rendezvous/4".
func (r Rendezvous) Name() string { return fmt.Sprintf("rendezvous/%d", r.withDefaults().Version) }

// Validate returns an [option.Error] when there is no such version.
func (r Rendezvous) Validate() error { return checkVersion(r.Version, 4) }

// checkVersion checks a version against the newest one.
func checkVersion(version, newest int) error {
	if version < 0 || version > newest {
		return &option.Error{Field: "Version", Value: version, Bound: fmt.Sprintf("between 1 and %d, or 0 for the newest", newest)}
	}
	return nil
}

// Assign implements [ring.RebalanceStrategy].
func (r Rendezvous) Assign(t ring.Topology, table ring.Table) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("rebalance: rendezvous: %w", err)
	}
	l := newLayout(t.Nodes)
	return complete(t, table, 0, r.withDefaults().Version, l, r.quotas(t, l))
}

// quotas returns the quotas of zones and regions.
func (r Rendezvous) quotas(t ring.Topology, l layout) (q quotas) {
	version := r.withDefaults().Version
	if version >= 3 {
		q = newQuotas(t, l, scoreOverload, proportional)
	}
	if version >= 4 {
		q.limitRegions(t, l, scoreOverload)
	}
	return q
}

// Yields returns an error that names the zones and regions whose members are too few for their part of
// every row, and nil when there are none. Then the rows of [Rendezvous.Assign] span as many zones and
// regions as possible.
func (r Rendezvous) Yields(t ring.Topology) error {
	l := newLayout(t.Nodes)
	return yields(l, r.quotas(t, l))
}

// complete fills the rest of each row of a table, after the given number of first
// owners, by the scores of a version. It returns the error of a table that nobody needs
// any more.
func complete(t ring.Topology, table ring.Table, given, version int, l layout, q quotas) error {
	f := newFiller(l, newScorer(t, version), l.depth(t.Replicas, q), q)
	if given == 0 {
		f.walk(t.Stopped)
	}
	for p := range t.PartitionCount {
		if p%stopEvery == 0 && t.Stopped() {
			return errStopped()
		}
		f.fill(table.Row(p), given, newPartition(p))
	}
	table.SetNote(f.ranks)
	return nil
}

// stopEvery is for how many rows a strategy does not ask whether the table is needed.
const stopEvery = 256

func errStopped() error { return errors.New("rebalance: the table is no longer needed") }

// filler fills rows one after the other, and uses its buffers again for each.
type filler struct {
	layout layout
	pick   *picker
	score  scorer
	lists  [][]candidate // for the present row, the cheapest nodes of each zone
	walked [][]candidate // for each zone that walk has handled, the lists of all rows
	drawn  []int         // the number of owners that the row has taken from each zone
	heads  []uint64      // the cost of the next node of each zone
	ranks  uint64        // all owners of all rows give the row a lower rank than this; zero if not known
}

// newFiller makes a filler for rows that take at most depth owners of a zone.
func newFiller(l layout, s scorer, depth int, q quotas) *filler {
	f := &filler{
		layout: l,
		pick:   newPicker(l, q, s.partitions),
		score:  s,
		lists:  make([][]candidate, len(l.zones)),
		walked: make([][]candidate, len(l.zones)),
		drawn:  make([]int, len(l.zones)),
		heads:  make([]uint64, len(l.zones)),
	}
	for z := range l.zones {
		f.lists[z] = make([]candidate, 0, depth)
	}
	return f
}

// fill fills the rest of a row, after the given number of first owners, with the
// cheapest nodes.
func (f *filler) fill(row []uint16, given int, p partition) {
	f.pick.begin(int(p.index))
	for _, n := range row[:given] {
		f.pick.take(f.layout.zoneOf[n])
	}
	for z := range f.lists {
		f.cheapest(z, p, row[:given])
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
func (f *filler) cheapest(z int, p partition, except []uint16) {
	if all := f.walked[z]; all != nil {
		each := len(all) / int(f.score.domain.partitions)
		f.lists[z] = all[int(p.index)*each:][:each]
		return
	}
	f.lists[z] = f.lists[z][:0]
	if f.score.weights == nil {
		f.cheapestOfEqual(z, p, except)
		return
	}
	for _, n := range f.layout.zones[z].nodes {
		if list := f.lists[z]; len(list) == cap(list) && !f.score.cheaper(p, n, list[len(list)-1].cost) {
			continue
		}
		if !slices.Contains(except, n) {
			f.enlist(z, candidate{f.score.cost(p, n), n})
		}
	}
}

// cheapestOfEqual is cheapest for nodes of equal weight, where the highest score costs
// least. Once the list is full, hardly any node gets into it, and for most nodes the rank
// alone shows that.
func (f *filler) cheapestOfEqual(z int, p partition, except []uint16) {
	full, worst := false, uint64(0) // with a full list, a node needs a higher score
	for _, n := range f.layout.zones[z].nodes {
		var score uint64
		if s := &f.score; s.orders == nil {
			score = s.score(p, n)
		} else {
			least := s.least(s.orders[n].rank(p.index, &s.domain))
			if full && least+s.step <= worst {
				continue
			}
			score = least + s.fraction(p, n)
		}
		if full && score <= worst || slices.Contains(except, n) {
			continue
		}
		f.enlist(z, candidate{^score, n})
		if list := f.lists[z]; len(list) == cap(list) {
			full, worst = true, ^list[len(list)-1].cost
		}
	}
}

// enlist inserts a candidate into a zone's list, and drops the last one when the list
// is full.
func (f *filler) enlist(z int, c candidate) { f.lists[z] = insert(f.lists[z], c) }

// insert inserts a candidate into a list, which does not grow beyond its capacity.
func insert(list []candidate, c candidate) []candidate {
	if len(list) < cap(list) {
		list = append(list, candidate{})
	} else if !c.before(list[len(list)-1]) {
		return list
	}
	i := len(list) - 1
	for ; i > 0 && c.before(list[i-1]); i-- {
		list[i] = list[i-1]
	}
	list[i] = c
	return list
}
