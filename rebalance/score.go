package rebalance

import (
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
)

// mix spreads every bit of x over all of them. The finalizer of SplitMix64
// (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// scorer computes the cost of a node for a partition; the lowest cost wins. The cost
// depends only on the node's ID, its weight, the partition and the number of partitions.
// So when a node joins or leaves, the costs of all other nodes stay the same.
//
// A cost is an exponentially distributed number divided by the weight: -log2(u)/w,
// where u is a score as a fraction (Schindelhauer and Schomaker, 2005). Nodes of equal
// weight are ordered by the score itself, which gives the same order without the
// logarithm.
//
// The score is the rank of the partition in the node's permutation, followed by a hash of
// the two. So the scores of a node are spread evenly over all partitions, while hashes
// alone form clusters by chance. In version 1 the score is such a hash alone.
type scorer struct {
	keys       []uint64 // a hash of each node's ID
	weights    []uint64 // for each node; nil when all weights are equal
	log        *logTable
	orders     []permutation // nil in version 1
	domain     domain
	partitions int
	step       uint64 // the difference of the scores of two ranks
}

func newScorer(t ring.Topology, version int) scorer {
	s := scorer{keys: make([]uint64, len(t.Nodes)), partitions: t.PartitionCount}
	if version > 1 {
		s.orders, s.domain, s.step = make([]permutation, len(t.Nodes)), newDomain(t.PartitionCount), ^uint64(0)/uint64(t.PartitionCount)
	}
	for i := range t.Nodes {
		n := &t.Nodes[i]
		hash := xxhash.Sum64String(n.ID)
		s.keys[i] = mix(hash)
		if s.orders != nil {
			s.orders[i] = seededPermutation(hash)
		}
	}
	if !equalWeights(t.Nodes) {
		s.weights, s.log = make([]uint64, len(t.Nodes)), newLogTable()
		for i := range t.Nodes {
			s.weights[i] = uint64(t.Nodes[i].Weight)
		}
	}
	return s
}

// A partition is what a score depends on besides the node.
type partition struct{ index, key uint64 }

// newPartition hashes a partition. The odd constant, from the golden ratio, makes sure
// that mix does not map partition 0 to zero.
func newPartition(index int) partition {
	return partition{uint64(index), mix(uint64(index) + 0x9e3779b97f4a7c15)}
}

// score returns the score of a node.
func (s *scorer) score(p partition, node uint16) uint64 {
	if s.orders == nil {
		return mix(s.keys[node] ^ p.key)
	}
	return s.least(s.orders[node].rank(p.index, &s.domain)) + s.fraction(p, node)
}

// least returns the least score of the nodes that give a partition a rank.
func (s *scorer) least(rank uint64) uint64 { return (s.domain.partitions - 1 - rank) * s.step }

// fraction is the part of a score that differs between nodes of equal rank.
func (s *scorer) fraction(p partition, node uint16) uint64 {
	part, _ := bits.Mul64(mix(s.keys[node]^p.key), s.step)
	return part
}

// cost returns the cost of a node.
func (s *scorer) cost(p partition, node uint16) uint64 {
	if s.weights == nil {
		return ^s.score(p, node)
	}
	return s.log.lot(s.score(p, node)) / s.weights[node]
}

// cheaper reports whether a node costs less than a bound, where weights differ. It
// compares the dividend of the cost with bound times weight, because a product is
// faster than a division.
func (s *scorer) cheaper(p partition, node uint16, bound uint64) bool {
	hi, lo := bits.Mul64(bound, s.weights[node])
	return hi > 0 || s.log.lot(s.score(p, node)) < lo
}

// anyCheaper reports whether any of some nodes costs no more than the most expensive of
// others.
func (s *scorer) anyCheaper(nodes, others []uint16, p partition) bool {
	dearest := uint64(0)
	for _, n := range others {
		dearest = max(dearest, s.cost(p, n))
	}
	return slices.ContainsFunc(nodes, func(n uint16) bool { return s.cost(p, n) <= dearest })
}

// A logTable holds log2(1 + i/256) for i in 0 to 256, times 2^57.
type logTable [257]uint64

// newLogTable computes the logarithms bit by bit: squaring a number doubles its
// logarithm, and whether the square reaches 2 is the next binary digit.
func newLogTable() *logTable {
	var t logTable
	for i := range 256 {
		x := uint64(256+i) << 55 // in [1, 2), times 2^63
		for range 57 {
			hi, lo := bits.Mul64(x, x) // hi is the square times 2^62
			t[i] <<= 1
			if hi >= 1<<63 {
				t[i]++
				x = hi
			} else {
				x = hi<<1 | lo>>63
			}
		}
	}
	t[256] = 1 << 57
	return &t
}

// lot returns -log2(hash/2^64) times 2^57, between 1 and 2^63. Between the entries of
// the table it interpolates linearly. So it never rises with the hash, and stays within
// a thousandth of the logarithm.
func (t *logTable) lot(hash uint64) uint64 {
	hash |= 1 // because zero has no logarithm
	zeros := bits.LeadingZeros64(hash)
	mantissa := hash << zeros // in [1, 2), times 2^63
	i := mantissa >> 55 & 255
	slope, _ := bits.Mul64(t[i+1]-t[i], mantissa<<9)
	return uint64(zeros+1)<<57 - (t[i] + slope)
}
