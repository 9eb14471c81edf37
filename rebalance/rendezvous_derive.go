package rebalance

import (
	"iter"

	"github.com/clusterkit/clusterkit/ring"
)

// Derive implements [ring.Deriver]: it changes the table of from into the table that
// Assign computes for to. It returns false, and leaves the work to Assign, in three cases:
//
//   - The change touches a zone in which fewer nodes stay than a row may have owners
//     in one zone.
//   - All weights are equal before the change and not after it, or the reverse.
//   - The nodes of a zone or region are too few for its part of every row, before the change or after it.
//
// A row that keeps its owners changes only if a joining node costs less than the most
// expensive owner of the row. docs/placement.md proves that the table equals that of
// Assign.
//
// The note of a table is a bound on the ranks that owners give to their rows, or zero. A
// joining node that gives a row a higher rank costs more than all of its owners.
func (r Rendezvous) Derive(from, to ring.Topology, table ring.Table) bool {
	c, ok := compare(from, to)
	if !ok || !r.quotas(to, c.layout).none() || len(c.layout.zones) > 1 && !r.quotas(from, newLayout(from.Nodes)).none() {
		return false
	}
	slots := table.Slots()
	done := make(rows, (to.PartitionCount+63)/64)
	lost := c.lost(slots, to.Replicas)
	for _, p := range lost {
		done.add(p)
	}
	f := newFiller(c.layout, newScorer(to, r.withDefaults().Version), c.depth, quotas{})
	f.ranks = table.Note()
	// With these zones the owners of each row are in ascending order of cost: the most
	// expensive owner is the last.
	ascending := len(c.layout.zones) == 1 || c.depth == 1 && c.layout.regions == 1
	for i, ch := range f.challenges(c.joined, to.PartitionCount) {
		if i%stopEvery == 0 && to.Stopped() {
			return false
		}
		if done.has(ch.row) {
			continue
		}
		row := slots[ch.row*to.Replicas:][:to.Replicas]
		owners := row
		if ascending {
			owners = row[len(row)-1:]
		}
		if f.score.wins(ch, owners) {
			f.refill(c.joined, row, newPartition(ch.row))
			done.add(ch.row)
		}
	}
	for i, p := range lost {
		if i%stopEvery == 0 && to.Stopped() {
			return false
		}
		row := slots[p*to.Replicas:][:to.Replicas]
		f.fill(row, 0, newPartition(p))
		f.admit(row, p)
	}
	table.SetNote(f.ranks)
	return true
}

// A challenge is a row with joining nodes that may cost less than an owner of the row.
type challenge struct {
	row    int
	nodes  []uint16
	ranked bool // nodes is one node, and rank the rank that it gives the row
	rank   uint64
}

// challenges yields the challenges of all joining nodes, with a number from zero on.
func (f *filler) challenges(joined []uint16, partitions int) iter.Seq2[int, challenge] {
	return func(yield func(int, challenge) bool) {
		if f.ranks == 0 || f.score.orders == nil || f.ranks*uint64(len(joined)) > uint64(partitions)/4 {
			for p := 0; p < partitions && len(joined) > 0 && yield(p, challenge{row: p, nodes: joined}); p++ {
			}
			return
		}
		i := 0
		for k, n := range joined {
			for rank := range f.ranks {
				row := int(f.score.orders[n].at(rank, &f.score.domain))
				if !yield(i, challenge{row, joined[k : k+1], true, rank}) {
					return
				}
				i++
			}
		}
	}
}

// wins reports whether a node of a challenge costs less than one of some owners of the row. At
// equal weights a lower rank costs less, so that nearly always the ranks of the owners are enough.
func (s *scorer) wins(c challenge, owners []uint16) bool {
	tie := !c.ranked
	for _, n := range owners {
		if c.ranked {
			rank := s.orders[n].rank(uint64(c.row), &s.domain)
			if rank > c.rank {
				return true
			}
			tie = tie || rank == c.rank
		}
	}
	return tie && s.anyCheaper(c.nodes, owners, newPartition(c.row))
}

// rows is a set of partitions, one bit for each.
type rows []uint64

func (r rows) add(p int) { r[p/64] |= 1 << (p % 64) }

func (r rows) has(p int) bool { return r[p/64]>>(p%64)&1 != 0 }

// admit raises the bound of ranks to that of the owners of a row.
func (f *filler) admit(row []uint16, partition int) {
	if f.ranks == 0 {
		return
	}
	for _, n := range row {
		f.ranks = max(f.ranks, f.score.orders[n].rank(uint64(partition), &f.score.domain)+1)
	}
}

// refill fills a row anew from its own nodes and the joining nodes.
func (f *filler) refill(joined, row []uint16, p partition) {
	for z := range f.lists {
		f.lists[z] = f.lists[z][:0]
	}
	for _, nodes := range [][]uint16{row, joined} {
		for _, n := range nodes {
			f.enlist(f.layout.zoneOf[n], candidate{f.score.cost(p, n), n})
		}
	}
	f.pick.begin(int(p.index))
	f.draw(row)
}

// change holds the differences between two topologies.
type change struct {
	layout  layout   // the layout of the new table
	depth   int      // the largest number of owners of a row in one zone
	joined  []uint16 // the new nodes that were not in the old topology, or differ from it
	altered []bool   // for each new node, whether the old topology has another node of its ID; nil for none
	left    bool     // whether an old node is not in the new topology
}

// compare finds the differences, and whether the zones allow deriving one table from
// the other.
func compare(from, to ring.Topology) (c change, ok bool) {
	if equalWeights(from.Nodes) != equalWeights(to.Nodes) {
		return c, false
	}
	left := make(map[place]bool) // the zones of nodes that are gone
	for i, j := 0, 0; i < len(from.Nodes) || j < len(to.Nodes); {
		switch {
		case i < len(from.Nodes) && j < len(to.Nodes) && from.Nodes[i] == to.Nodes[j]:
			i, j = i+1, j+1
		case j == len(to.Nodes) || i < len(from.Nodes) && from.Nodes[i].ID < to.Nodes[j].ID:
			left[placeOf(&from.Nodes[i])] = true
			c.left = true
			i++
		case i == len(from.Nodes) || from.Nodes[i].ID > to.Nodes[j].ID:
			c.joined = append(c.joined, uint16(j))
			j++
		default:
			left[placeOf(&from.Nodes[i])] = true
			c.joined = append(c.joined, uint16(j))
			if c.altered == nil {
				c.altered = make([]bool, len(to.Nodes))
			}
			c.altered[j] = true
			i, j = i+1, j+1
		}
	}
	if len(to.Nodes)-len(c.joined) < to.Replicas {
		return c, false
	}
	c.layout = newLayout(to.Nodes)
	return c, c.zonesStay(to.Replicas, left)
}

// zonesStay finds the depth. It reports whether every zone that nodes left or joined
// still has at least depth of its old nodes.
func (c *change) zonesStay(replicas int, left map[place]bool) bool {
	stay := make([]int, len(c.layout.zones)) // for each zone, the number of old nodes that stay
	touched := make([]bool, len(c.layout.zones))
	for z, zone := range c.layout.zones {
		stay[z] = len(zone.nodes)
		if left[zone.place] {
			touched[z] = true
			delete(left, zone.place)
		}
	}
	for _, n := range c.joined {
		z := c.layout.zoneOf[n]
		stay[z]--
		touched[z] = true
	}
	c.depth = depth(stay, replicas)
	for z, size := range stay {
		if touched[z] && size < c.depth {
			return false
		}
	}
	return len(left) == 0 // otherwise a zone is gone
}

// lost returns the partitions that lose an owner, ascending.
func (c *change) lost(slots []uint16, replicas int) (lost []int) {
	if !c.left && c.altered == nil {
		return nil
	}
	for i, n := range slots {
		if n == ring.MaxNodes || c.altered != nil && c.altered[n] {
			if p := i / replicas; len(lost) == 0 || lost[len(lost)-1] != p {
				lost = append(lost, p)
			}
		}
	}
	return lost
}

func equalWeights(nodes []ring.Node) bool {
	for i := range nodes {
		if nodes[i].Weight != nodes[0].Weight {
			return false
		}
	}
	return true
}
