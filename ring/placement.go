package ring

import "iter"

// Placement holds the owners of one partition of one ring. It is a small value that
// points into the ring's table: it is cheap to copy, and none of its methods allocates.
// It does not change when another ring replaces its ring. It keeps its ring in memory,
// so for longer times keep [Placement.Partition] or [Placement.Token] instead.
//
// The zero Placement, like that of an empty ring, has no owners.
type Placement struct {
	ring      *Ring
	partition uint32
	// order is the order in which At and All return the owners: four bits for each
	// position hold the rank of the owner at this position. Zero means the order in which
	// the ring shows them.
	order uint64
}

// Partition returns the partition, 0 to PartitionCount-1.
func (p Placement) Partition() int { return int(p.partition) }

// Len returns the number of owners.
func (p Placement) Len() int { return p.ring.Replicas() }

// Primary returns the first owner of the preference list, also after [Placement.Prefer]
// has put another owner in front. It returns false when there are no owners.
func (p Placement) Primary() (Owner, bool) {
	r := p.ring
	if r == nil {
		return Owner{}, false
	}
	// The table of an empty ring has length zero, so the one comparison that the index
	// needs anyway also finds that there are no owners.
	first := uint(p.partition) * uint(r.replicas)
	if first >= uint(len(r.owners)) {
		return Owner{}, false
	}
	return Owner{&r.nodes[r.owners[first]]}, true
}

// At returns the i-th owner, counting from 0. It panics when i is not below
// [Placement.Len], as an index into a slice does.
func (p Placement) At(i int) Owner {
	r := p.ring
	if r == nil || uint(i) >= uint(r.replicas) {
		panic("ring: index of an owner out of range")
	}
	if p.order != 0 {
		i = p.rank(i)
	}
	return Owner{&r.nodes[r.shown[int(p.partition)*r.replicas+i]]}
}

// All iterates over the owners in order. It allocates nothing where the compiler
// inlines it, which is in every ordinary loop; Go 1.26 does not in a function
// literal that a function returns which is inlined itself.
func (p Placement) All() iter.Seq2[int, Owner] {
	return func(yield func(int, Owner) bool) {
		row := p.ring.shownRow(p.partition)
		for i, node := range row {
			if p.order != 0 {
				node = row[p.rank(i)]
			}
			if !yield(i, Owner{&p.ring.nodes[node]}) {
				return
			}
		}
	}
}

// Owns reports whether the node with an ID is one of the owners. It is fastest for the
// node that it was asked for first.
func (p Placement) Owns(id string) bool { return p.ring.owns(p.partition, id) }

// Target returns the placement of the same partition in the ring that replaces this one when
// the change under way is complete, in the order of its preference list. Without such a ring it
// returns p.
func (p Placement) Target() Placement {
	if p.ring == nil || p.ring.target == nil {
		return p
	}
	return Placement{ring: p.ring.target, partition: p.partition}
}

// Token identifies the owners of the partition and their order, in the ring and in its target. It
// covers the ID and the [Node.Start] of each owner and, with a [Config.WriteQuorum], the quorums.
// So two members with equal tokens mean the same owners, even while their rings differ in other
// partitions. A ring without a target has the token of a ring whose target has the same owners in
// the same order.
func (p Placement) Token() Token {
	if r := p.ring; r != nil && r.target == nil && r.memo != nil {
		if t := r.memo.hashes.Load(); t != nil && int(p.partition) < len(*t) {
			return Token((*t)[p.partition])
		}
	}
	return p.makeToken()
}

// makeToken is Token for rings with a target, and for those without a table of hashes.
func (p Placement) makeToken() Token {
	h := p.ring.hash(p.partition)
	if p.ring == nil || p.ring.target == nil {
		return Token(h)
	}
	target := p.ring.target.hash(p.partition)
	if target == h {
		return Token(h)
	}
	return Token(mix(h ^ mix(target)))
}
