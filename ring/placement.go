package ring

import "iter"

// Placement says who owns one partition of one ring. It is a small value over
// the ring's table: copying it is free, nothing about it allocates, and it
// stays true of the ring it came from, which it keeps in memory. To remember
// where a key lives for long, keep [Placement.Partition] or [Placement.Token].
//
// The zero Placement, like that of an empty ring, has no owners.
type Placement struct {
	ring      *Ring
	partition uint32
	// order says in which order At and All give the owners: four bits for
	// each position hold the rank of the owner there, relative to the
	// identity, so that zero leaves the preference list as it is.
	order uint64
}

// identity is the order of an untouched preference list: rank i at position i.
const identity = 0xFEDCBA9876543210

// Partition returns the partition, 0 to PartitionCount-1.
func (p Placement) Partition() int { return int(p.partition) }

// Len returns the number of owners.
func (p Placement) Len() int { return p.ring.Replicas() }

// Primary returns the first owner of the preference list, whatever
// [Placement.Prefer] put in front, and false when there are no owners.
func (p Placement) Primary() (Owner, bool) {
	row := p.ring.row(p.partition)
	if len(row) == 0 {
		return Owner{}, false
	}
	return Owner{&p.ring.nodes[row[0]]}, true
}

// At returns the i-th owner, counting from 0. It panics when i is not below
// [Placement.Len], as an index into a slice does.
func (p Placement) At(i int) Owner {
	row := p.ring.row(p.partition)
	_ = row[i] // a rank beyond the last would read as zero
	return Owner{&p.ring.nodes[row[p.rank(i)]]}
}

// All iterates over the owners in order.
func (p Placement) All() iter.Seq2[int, Owner] {
	return func(yield func(int, Owner) bool) {
		for i := range p.Len() {
			if !yield(i, p.At(i)) {
				return
			}
		}
	}
}

// Owns reports whether the node of an ID is one of the owners.
func (p Placement) Owns(id string) bool {
	for _, i := range p.ring.row(p.partition) {
		if p.ring.nodes[i].ID == id {
			return true
		}
	}
	return false
}

// Prefer returns the same placement with its owners in another order: those
// of the zone first, then those of the region, then the rest, each group in the
// order of the preference list. Who the primary is, who owns, and the token do
// not change.
func (p Placement) Prefer(region, zone string) Placement {
	here, near := -1, -1 // the zone and the region, once an owner in it has been met
	var first, second, third uint64
	var firstBits, secondBits, thirdBits int
	for rank, node := range p.ring.row(p.partition) {
		label := int(p.ring.zoneOf[node])
		z := &p.ring.zones[label]
		if near < 0 && z.region == region {
			near = int(z.regionIndex)
		}
		inRegion := int(z.regionIndex) == near
		if here < 0 && inRegion && z.zone == zone {
			here = label
		}
		switch {
		case label == here:
			first |= uint64(rank) << firstBits
			firstBits += 4
		case inRegion:
			second |= uint64(rank) << secondBits
			secondBits += 4
		default:
			third |= uint64(rank) << thirdBits
			thirdBits += 4
		}
	}
	order := first | second<<firstBits | third<<(firstBits+secondBits)
	p.order = (order ^ identity) & (1<<(firstBits+secondBits+thirdBits) - 1)
	return p
}

func (p Placement) rank(position int) int {
	return int((p.order ^ identity) >> (4 * position) & 15)
}

// Target returns the placement of the same partition in the ring that this one
// is about to give way to, in the order of its preference list; p itself when
// there is none.
func (p Placement) Target() Placement {
	if p.ring == nil || p.ring.target == nil {
		return p
	}
	return Placement{ring: p.ring.target, partition: p.partition}
}

// Token identifies the owners of the partition and their order, in the ring
// and in its target. Two members whose tokens are equal mean the same owners,
// even while their rings differ elsewhere. A ring without a target stands for
// one whose target has the same owners in the same order.
func (p Placement) Token() Token {
	h := p.hash()
	if target := p.Target().hash(); target != h {
		h = mix(h ^ mix(target))
	}
	return Token(h)
}

// hash identifies the partition and its preference list.
func (p Placement) hash() uint64 {
	h := mix(uint64(p.partition) + 1)
	for _, i := range p.ring.row(p.partition) {
		h = mix(h ^ p.ring.hashes[i])
	}
	return h
}
