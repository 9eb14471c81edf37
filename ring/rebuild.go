package ring

import (
	"encoding/binary"
	"slices"
	"unsafe"
)

// A Deriver is a strategy that can turn the table of one set of nodes into the table of
// another set, faster than Assign computes it. A strategy need not be a Deriver:
// [Rebuild] tests for it by a type assertion, and otherwise calls Assign.
//
// Derive must write the same table that Assign would write. Otherwise two members with
// the same nodes could hold different tables, for example when one of them has
// restarted.
type Deriver interface {
	RebalanceStrategy
	// Derive gets the table that Assign has written for the topology from, as indices
	// into the nodes of to. An owner whose ID is not in to has the index [MaxNodes]. Derive
	// changes the table into the one that Assign would write for the topology to. Both
	// topologies have the same number of partitions and of owners. Derive reports whether
	// it did so. If not, it may leave anything in the table, and Assign is called.
	// [Table.Note] is that of the previous table.
	Derive(from, to Topology, table Table) bool
}

// Rebuild computes the ring that [Build] computes, of the same configuration and nodes,
// and returns the same errors. When the strategy is a [Deriver] and the previous ring
// came from the same configuration, Rebuild derives the table from a copy of that
// ring's table. Targets have no influence. Where only values differ that a strategy
// does not see, such as [Node.Start], the ring shares the table of the previous one and
// no strategy is asked. The previous ring may be nil or empty.
//
// With rebalance.Rendezvous, 1000 nodes and 65,536 partitions of three owners, Rebuild
// for one node more takes a fiftieth of the time of Build, and for one less a twelfth.
func Rebuild(previous *Ring, c Config, nodes []Node) (*Ring, error) {
	return build(previous, c, nodes)
}

// alike reports whether both rings have the same configuration and number of owners, so that
// only their nodes can differ.
func (r *Ring) alike(previous *Ring) bool {
	return previous.Len() > 0 && previous.strategy == r.strategy && previous.count == r.count && previous.replicas == r.replicas
}

// sharesTable reports whether this ring has the same table as the previous one.
func (r *Ring) sharesTable(previous *Ring) bool {
	return r.alike(previous) && slices.EqualFunc(r.nodes, previous.nodes, func(a, b Node) bool {
		a.Start = b.Start
		return a == b
	})
}

// derive fills the table from that of the previous ring, and reports whether the strategy
// could do so.
func (r *Ring) derive(previous *Ring, to Topology) (ok bool, err error) {
	d, is := r.config.Strategy.(Deriver)
	if !is || !r.alike(previous) {
		return false, nil
	}
	owners, lost := r.renumbered(previous)
	note := previous.note
	table := Table{replicas: to.Replicas, owners: slices.Clone(owners), note: &note}
	err = guard(r.strategy, "Derive", func() error {
		ok = d.Derive(previous.topology(), to, table)
		return nil
	})
	if err != nil || !ok {
		return false, err
	}
	r.owners, r.note = owners, note
	return true, r.adopt(table.owners, lost)
}

// renumbered returns the table of the previous ring as indices into the nodes of this one, and
// the first slot of each row that has an owner which is no node of this ring.
func (r *Ring) renumbered(previous *Ring) (owners []uint16, lost []int) {
	index := make([]uint16, len(previous.nodes))
	left := false
	var joined []uint16 // the nodes in front of an old one that are not in the previous ring, ascending
	j := 0
	for i := range index {
		for j < len(r.nodes) && r.nodes[j].ID < previous.nodes[i].ID {
			joined = append(joined, uint16(j))
			j++
		}
		if j < len(r.nodes) && r.nodes[j].ID == previous.nodes[i].ID {
			index[i] = uint16(j)
			j++
		} else {
			index[i], left = MaxNodes, true
		}
	}
	switch {
	case left:
		owners = slices.Clone(previous.owners)
		for i, n := range owners {
			n = index[n]
			owners[i] = n
			if n == MaxNodes {
				if first := i - i%r.replicas; len(lost) == 0 || lost[len(lost)-1] != first {
					lost = append(lost, first)
				}
			}
		}
	case len(joined) == 0:
		owners = slices.Clone(previous.owners)
	case len(joined) <= fewJoined && len(r.nodes) <= 1<<15:
		owners = make([]uint16, len(previous.owners))
		from := previous.owners
		for _, n := range joined {
			makeRoom(owners, from, n)
			from = owners
		}
	default:
		owners = slices.Clone(previous.owners)
		for i, n := range owners {
			owners[i] = index[n]
		}
	}
	return owners, lost
}

// For at most this many nodes that join, a pass over the table for each of them is faster than
// one pass that looks up every owner.
const fewJoined = 2

// makeRoom writes numbers to another slice, with one added to each that is not below n. So n
// becomes free for another node. All numbers are below 2^15. The slices may be the same.
//
// It handles four numbers at a time. With the highest bit of each set, the difference to n
// borrows nothing from the next number, and keeps this bit where the number is not below n.
func makeRoom(to, from []uint16, n uint16) {
	const ones, highest = 0x0001_0001_0001_0001, 0x8000_8000_8000_8000
	from = from[:len(to)]
	source := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(from))), 2*len(from))
	result := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(to))), 2*len(to))
	bound := uint64(n) * ones
	i := 0
	for ; i+8 <= len(to); i += 8 {
		old, moved := (*[16]byte)(source[2*i:]), (*[16]byte)(result[2*i:])
		a, b := binary.NativeEndian.Uint64(old[:8]), binary.NativeEndian.Uint64(old[8:])
		binary.NativeEndian.PutUint64(moved[:8], a+((a|highest)-bound)>>15&ones)
		binary.NativeEndian.PutUint64(moved[8:], b+((b|highest)-bound)>>15&ones)
	}
	for ; i < len(to); i++ {
		to[i] = from[i]
		if from[i] >= n {
			to[i]++
		}
	}
}

// adopt takes the rows that a strategy has changed into the table, and checks them. The rows
// that lost an owner are checked in any case. All others were checked in the previous ring.
func (r *Ring) adopt(owners []uint16, lost []int) error {
	const block = 64 // slots that are compared at once
	for from := 0; from < len(owners); from += block {
		to := min(from+block, len(owners))
		if to-from == block && [block]uint16(owners[from:to]) == [block]uint16(r.owners[from:to]) {
			continue
		}
		first, end := from-from%r.replicas, min(len(owners), (to+r.replicas-1)/r.replicas*r.replicas)
		copy(r.owners[first:end], owners[first:end])
		if err := r.check(first, end); err != nil {
			return err
		}
	}
	for _, first := range lost {
		if err := r.check(first, first+r.replicas); err != nil {
			return err
		}
	}
	return nil
}
