package rebalance

import (
	"math/bits"

	"github.com/clusterkit/clusterkit/ring"
)

// A unit is a region, a zone or a member.
type unit struct {
	group       int32  // the unit of the level above that this unit is part of
	weight      uint64 // the sum of the weights of its members
	low, high   uint64 // the least and the largest number of owners that it has in a row
	least, most uint64 // the least and the largest number of slots that it has in all rows
	share       uint64 // the fair number of slots of the unit, times 2^16
	limit       uint64 // the most slots it may get
	load        uint64 // the slots it has
}

// pressed reports whether the members of a unit are too few for its part of every row. It
// then has all slots that they may own.
func (u *unit) pressed() bool { return u.low < u.high && u.least == u.most }

// newLevels returns the units of each level, the whole cluster first and the members
// last, with their bounds, shares and limits.
func newLevels(t ring.Topology, l layout, orders []permutation, slack slack, overload overload) [4][]unit {
	replicas, partitions := uint64(t.Replicas), uint64(t.PartitionCount)
	cluster := []unit{{low: replicas, high: replicas, share: replicas * partitions << 16}}
	regions := make([]unit, l.regions)
	zones := make([]unit, len(l.zones))
	members := make([]unit, len(t.Nodes))
	fair := fairShares(t)
	for i, n := range t.Nodes {
		members[i] = unit{group: int32(l.zoneOf[i]), weight: uint64(n.Weight), high: 1, most: overload.limit(fair[i].share, partitions)}
		z := &zones[l.zoneOf[i]]
		z.weight, z.most = z.weight+uint64(n.Weight), z.most+members[i].most
	}
	for z := range zones {
		zones[z].group = int32(l.zones[z].region)
	}
	even(replicas, partitions, zones)
	for _, z := range zones {
		r := &regions[z.group]
		r.weight, r.least, r.most = r.weight+z.weight, r.least+z.least, r.most+z.most
	}
	even(replicas, partitions, regions)

	levels := [4][]unit{cluster, regions, zones, members}
	for i, units := range levels[1:] {
		divide(levels[i], units, func(u *unit) (least, most uint64) { return u.least << 16, u.most << 16 })
	}
	for i := range members {
		m := &members[i]
		m.limit = slack.limit(m.share, orders[i].dither())
		if m.share == m.most<<16 || m.share-m.share>>10 > fair[i].share { // for the sake of zones, and not by rounding
			m.limit = min(m.limit, m.most)
		}
	}
	for i := 3; i > 0; i-- {
		for j := range levels[i] {
			u := &levels[i][j]
			u.limit = min(u.limit, u.high*partitions)
			levels[i-1][u.group].limit += u.limit
			if u.share>>16 >= u.high*partitions {
				u.low = u.high
			}
		}
	}
	return levels
}

// fairShares returns the share that each member would have without zones and regions.
func fairShares(t ring.Topology) []unit {
	members := make([]unit, len(t.Nodes))
	for i, n := range t.Nodes {
		members[i].weight = uint64(n.Weight)
	}
	partitions := uint64(t.PartitionCount) << 16
	if equalWeights(t.Nodes) { // equal weights need no search
		for i := range members {
			members[i].share = min(partitions, (uint64(t.Replicas)*partitions+uint64(len(members))-1)/uint64(len(members)))
		}
		return members
	}
	divide([]unit{{share: uint64(t.Replicas) * partitions}}, members, func(*unit) (least, most uint64) { return 0, partitions })
	return members
}

// even narrows the bounds on the number of slots that each unit has, so that the numbers
// sum up to n for each row, and differ by one row at most where the units' bounds permit. The
// bounds on the number of owners in a row follow from them.
func even(n, partitions uint64, units []unit) {
	sum := func(t uint64) (s uint64) {
		for _, u := range units {
			s += min(max(t*partitions, u.least), u.most)
		}
		return s
	}
	t := uint64(0)
	for t < n && sum(t+1) <= n*partitions {
		t++
	}
	highest := t
	if sum(t) < n*partitions {
		highest++
	}
	for i := range units {
		u := &units[i]
		u.least, u.most = min(max(t*partitions, u.least), u.most), min(max(highest*partitions, u.least), u.most)
		u.low, u.high = u.least/partitions, (u.most+partitions-1)/partitions
	}
}

// divide gives each unit its share of the slots of its group: in proportion to weight,
// as far as the bounds permit.
func divide(groups, units []unit, bounds func(*unit) (low, high uint64)) {
	parts := make([][]int, len(groups))
	for i, u := range units {
		parts[u.group] = append(parts[u.group], i)
	}
	for g, part := range parts {
		// A rate is the number of slots for each unit of weight, times 2^40. A unit has
		// at least a weight of 1 for each owner of a row, so at the highest rate every
		// unit reaches its upper bound.
		fill := func(rate uint64) (sum uint64) {
			for _, i := range part {
				u := &units[i]
				low, high := bounds(u)
				over, product := bits.Mul64(rate, u.weight)
				slots := over<<40 | product>>24
				if over >= 1<<24 {
					slots = high // more than 64 bits
				}
				u.share = min(max(slots, low), high)
				sum += u.share
			}
			return sum
		}
		fill(least(1<<60, func(rate uint64) bool { return fill(rate) >= groups[g].share }))
	}
}

// least returns the smallest number up to a bound for which a condition holds. The
// condition must hold for all larger numbers too.
func least(bound uint64, holds func(uint64) bool) uint64 {
	low := uint64(0)
	for low < bound {
		if middle := low + (bound-low)/2; holds(middle) {
			bound = middle
		} else {
			low = middle + 1
		}
	}
	return low
}
