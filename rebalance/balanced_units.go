package rebalance

import (
	"math/bits"

	"github.com/clusterkit/clusterkit/ring"
)

// A unit is a region, a zone or a member.
type unit struct {
	group     int32  // the unit of the level above that this unit is part of
	weight    uint64 // the sum of the weights of its members
	low, high uint64 // the least and the largest number of owners that it has in a row
	share     uint64 // its fair number of slots, times 2^16
	limit     uint64 // the most slots it may get
	load      uint64 // the slots it has
}

// newLevels returns the units of each level, the whole cluster first and the members
// last, with their bounds, shares and limits.
func newLevels(t ring.Topology, l layout, orders []permutation, slack slack) [4][]unit {
	replicas, partitions := uint64(t.Replicas), uint64(t.PartitionCount)
	cluster := []unit{{low: replicas, high: replicas, share: replicas * partitions << 16}}
	regions := make([]unit, l.regions)
	zones := make([]unit, len(l.zones))
	members := make([]unit, len(t.Nodes))
	for i, n := range t.Nodes {
		members[i] = unit{group: int32(l.zoneOf[i]), weight: uint64(n.Weight), high: 1}
		zones[l.zoneOf[i]].weight += uint64(n.Weight)
	}
	for z := range zones {
		zones[z].group, zones[z].high = int32(l.zones[z].region), uint64(len(l.zones[z].nodes))
	}
	even(replicas, zones)
	for _, z := range zones {
		r := &regions[z.group]
		r.weight, r.low, r.high = r.weight+z.weight, r.low+z.low, r.high+z.high
	}
	even(replicas, regions)

	levels := [4][]unit{cluster, regions, zones, members}
	for i, units := range levels[1:] {
		divide(levels[i], units, func(u *unit) (low, high uint64) {
			return u.low * partitions << 16, u.high * partitions << 16
		})
	}
	for i := range members {
		members[i].limit = slack.limit(members[i].share, orders[i].dither())
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

// even narrows the bounds on the number of owners that each unit has in a row, so that
// the numbers sum up to n, and differ by one at most where the units' bounds permit.
func even(n uint64, units []unit) {
	sum := func(t uint64) (s uint64) {
		for _, u := range units {
			s += min(max(t, u.low), u.high)
		}
		return s
	}
	t := uint64(0)
	for t < n && sum(t+1) <= n {
		t++
	}
	most := t
	if sum(t) < n {
		most++
	}
	for i := range units {
		u := &units[i]
		u.low, u.high = min(max(t, u.low), u.high), min(max(most, u.low), u.high)
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
				u.share = min(max(over<<40|product>>24, low), high)
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
