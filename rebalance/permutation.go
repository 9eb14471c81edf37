package rebalance

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// A permutation is the order in which one member prefers the partitions. It depends
// only on the member's ID and the number of partitions.
type permutation struct {
	add, multiply [4]uint64
}

func newPermutation(id string) permutation {
	var p permutation
	seed := xxhash.Sum64String(id)
	for i := range 4 {
		p.add[i] = mix(seed + uint64(2*i+1)*0x9e3779b97f4a7c15)
		p.multiply[i] = mix(seed+uint64(2*i+2)*0x9e3779b97f4a7c15) | 1
	}
	return p
}

// dither is a fixed number of the member, from 0 to 2^16, that decides how its limit is
// rounded.
func (p *permutation) dither() uint64 { return p.add[0] >> 48 }

// at returns the partition of a rank. On the numbers below a power of two, adding,
// multiplying by an odd number and folding high bits onto low ones can each be undone,
// so together they shuffle these numbers. A number that is no partition is shuffled
// again until it is one.
func (p *permutation) at(rank, partitions uint64) uint64 {
	width := max(2, bits.Len64(partitions-1))
	mask, fold := uint64(1)<<width-1, (width+1)/2
	x := rank
	for {
		for i := range 4 {
			x = (x + p.add[i]) * p.multiply[i] & mask
			x ^= x >> fold
		}
		if x < partitions {
			return x
		}
	}
}
