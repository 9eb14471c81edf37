package rebalance

import (
	"cmp"
	"slices"
)

// A class is the set of members of one pace, which is the weight unless paces are in use. They take
// their turns together.
type class struct {
	pace    uint64
	members []int32
	rank    int // the rank of the partition that each proposes to next
}

// time is when the class proposes next. The times are nil when there is only one class.
func (c *class) time(times []uint64) uint64 {
	if times == nil {
		return 0
	}
	return times[c.rank] / c.pace
}

// A turn is the time at which a class proposes next.
type turn struct {
	time  uint64
	class int32
}

func (t turn) before(u turn) bool {
	return t.time < u.time || t.time == u.time && t.class < u.class
}

// newClasses returns the classes of some members, the fastest first. It keeps the list.
func newClasses(pace []uint64, list []int32) []class {
	slices.SortStableFunc(list, func(a, b int32) int { return cmp.Compare(pace[b], pace[a]) })
	var classes []class
	for from, to := 0, 0; from < len(list); from = to {
		same := pace[list[from]]
		for to < len(list) && pace[list[to]] == same {
			to++
		}
		classes = append(classes, class{pace: same, members: list[from:to]})
	}
	return classes
}

// sink puts a turn into a heap in place of the first.
func sink(heap []turn, t turn) {
	i := 0
	for child := 1; child < len(heap); child = 2*i + 1 {
		if child+1 < len(heap) && heap[child+1].before(heap[child]) {
			child++
		}
		if !heap[child].before(t) {
			break
		}
		heap[i] = heap[child]
		i = child
	}
	if i < len(heap) {
		heap[i] = t
	}
}

// newTimes returns the times at which a member of weight 1 proposes to the partition of
// each rank. Take n events, one for each partition, each at a random time (exponential,
// mean 2^59). The times are the mean times of the first, the second and each later of
// these events.
func newTimes(partitions int) []uint64 {
	times := make([]uint64, partitions)
	now := uint64(0)
	for i := range times {
		now += 1 << 59 / uint64(partitions-i)
		times[i] = now
	}
	return times
}
