package rebalance

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// A permutation is the order in which one member prefers the partitions. It depends
// only on the member's ID and the number of partitions.
type permutation struct {
	add, multiply [4]uint64
	divide        [4]uint64 // the inverses of multiply, as far as a partition has bits
}

func newPermutation(id string) permutation { return seededPermutation(xxhash.Sum64String(id)) }

// seededPermutation is newPermutation for the hash of an ID.
func seededPermutation(seed uint64) permutation {
	var p permutation
	for i := range 4 {
		p.add[i] = mix(seed + uint64(2*i+1)*0x9e3779b97f4a7c15)
		p.multiply[i] = mix(seed+uint64(2*i+2)*0x9e3779b97f4a7c15) | 1
		p.divide[i] = inverse(p.multiply[i])
	}
	return p
}

// inverse returns a number whose product with an odd number is 1 modulo [ring.MaxPartitionCount],
// which is 2^20. Each step of Newton's method doubles the number of correct bits. The first guess
// has five.
func inverse(odd uint64) uint64 {
	x := odd*3 ^ 2
	x *= 2 - odd*x
	x *= 2 - odd*x
	return x
}

// dither is a fixed number of the member, from 0 to 2^16, that decides how its limit is
// rounded.
func (p *permutation) dither() uint64 { return p.add[0] >> 48 }

// domain is the set of numbers that permutations of partitions shuffle.
type domain struct {
	partitions, mask uint64
	fold             uint8
}

func newDomain(partitions int) domain {
	width := max(2, bits.Len64(uint64(partitions)-1))
	return domain{partitions: uint64(partitions), mask: 1<<width - 1, fold: uint8(width+1) / 2}
}

// at returns the partition of a rank. On the numbers below a power of two, adding,
// multiplying by an odd number and folding high bits onto low ones can each be undone,
// so together they shuffle these numbers. A number that is no partition is shuffled
// again until it is one.
func (p *permutation) at(rank uint64, d *domain) uint64 {
	x := p.shuffle(rank, d)
	for x >= d.partitions {
		x = p.shuffle(x, d)
	}
	return x
}

func (p *permutation) shuffle(x uint64, d *domain) uint64 {
	mask, fold := d.mask, d.fold&63
	x = (x + p.add[0]) * p.multiply[0] & mask
	x = ((x ^ x>>fold) + p.add[1]) * p.multiply[1] & mask
	x = ((x ^ x>>fold) + p.add[2]) * p.multiply[2] & mask
	x = ((x ^ x>>fold) + p.add[3]) * p.multiply[3] & mask
	return x ^ x>>fold
}

// rank returns the rank of a partition: the inverse of at.
func (p *permutation) rank(partition uint64, d *domain) uint64 {
	x := p.unshuffle(partition, d)
	for x >= d.partitions {
		x = p.unshuffle(x, d)
	}
	return x
}

// unshuffle is the inverse of shuffle. Folding twice changes nothing, because a fold is
// at least half of the width.
func (p *permutation) unshuffle(x uint64, d *domain) uint64 {
	mask, fold := d.mask, d.fold&63
	x = ((x^x>>fold)*p.divide[3] - p.add[3]) & mask
	x = ((x^x>>fold)*p.divide[2] - p.add[2]) & mask
	x = ((x^x>>fold)*p.divide[1] - p.add[1]) & mask
	return ((x^x>>fold)*p.divide[0] - p.add[0]) & mask
}
