package main

// atBest is a bound that the fullest member's replicas over the mean cannot go
// below while partitions span as many zones as they can: zones that are small or
// few must hold their part of every row, and a member owns a partition once. It
// leaves regions and whole slots out of account, so the true least may be a
// little more.
func (l layout) atBest() float64 {
	zones := make([]bounded, len(l.zones))
	members := make([][]bounded, len(l.zones))
	total := 0.0
	for z, size := range l.zones {
		least, most := l.copies(size)
		zones[z] = bounded{0, float64(least), float64(most)}
		for i := range size {
			weight := float64(l.weight(i))
			members[z] = append(members[z], bounded{weight, 0, 1})
			zones[z].weight += weight
			total += weight
		}
	}
	replicas := float64(min(l.replicas, l.size()))
	rate, fullest := fill(replicas, zones), 0.0
	for z := range zones {
		fullest = max(fullest, fill(zones[z].at(rate), members[z]))
	}
	return fullest * total / replicas
}

// copies is how many owners of one partition a zone of so many members has, at
// least and at most, when their counts differ by one unless a zone runs out.
func (l layout) copies(members int) (least, most int) {
	held := func(t int) (n int) {
		for _, size := range l.zones {
			n += min(size, t)
		}
		return n
	}
	replicas := min(l.replicas, l.size())
	t := 0
	for held(t+1) <= replicas && held(t+1) > held(t) {
		t++
	}
	least = min(members, t)
	if held(t) < replicas {
		return least, min(members, t+1)
	}
	return least, least
}

// bounded takes a share in proportion to its weight, within bounds. Shares are
// in owners a partition.
type bounded struct{ weight, least, most float64 }

func (b bounded) at(rate float64) float64 { return min(max(rate*b.weight, b.least), b.most) }

// fill returns the smallest rate at which the shares add up to a total. Weights
// are 1 at least, so that at a rate of the total no share can be short of it.
func fill(total float64, takers []bounded) float64 {
	low, high := 0.0, total
	for range 60 {
		middle, taken := (low+high)/2, 0.0
		for _, b := range takers {
			taken += b.at(middle)
		}
		if taken < total-1e-12 {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
