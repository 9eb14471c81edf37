package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/ring"
)

// layout is a cluster to place partitions on, without the names of its members.
type layout struct {
	family     string // the heading it is reported under
	zones      []int  // how many members each zone has
	regions    int    // how many regions the zones are dealt to, in order; zero means 1
	weights    []int  // dealt to the members of each zone in turn; none means all 1
	partitions int
	replicas   int
	quick      bool // measured by -quick too
}

// layouts are those of the report, by family.
var layouts = []layout{
	{family: "One zone", zones: []int{10}, partitions: 4096, replicas: 3, quick: true},
	{family: "One zone", zones: []int{100}, partitions: 4096, replicas: 3, quick: true},
	{family: "One zone", zones: []int{1000}, partitions: 65536, replicas: 3},
	{family: "Equal zones", zones: []int{3, 3, 3}, partitions: 4096, replicas: 3},
	{family: "Equal zones", zones: []int{10, 10, 10}, partitions: 1024, replicas: 3},
	{family: "Equal zones", zones: []int{10, 10, 10}, partitions: 4096, replicas: 3, quick: true},
	{family: "Equal zones", zones: []int{10, 10, 10}, partitions: 16384, replicas: 3},
	{family: "Equal zones", zones: []int{33, 33, 33}, partitions: 4096, replicas: 3},
	{family: "Equal zones", zones: []int{6, 6, 6, 6, 6}, partitions: 4096, replicas: 3},
	{family: "Equal zones", zones: []int{2, 2, 2, 2}, partitions: 4096, replicas: 3},
	{family: "Unequal zones", zones: []int{16, 12, 8, 4}, partitions: 4096, replicas: 3, quick: true},
	{family: "Unequal zones", zones: []int{5, 3, 2}, partitions: 4096, replicas: 3},
	{family: "Fewer zones than replicas", zones: []int{15, 15}, partitions: 4096, replicas: 3, quick: true},
	{family: "Fewer zones than replicas", zones: []int{20, 10}, partitions: 4096, replicas: 3},
	{family: "Fewer zones than replicas", zones: []int{8, 2}, partitions: 4096, replicas: 3},
	{family: "Two regions", zones: []int{5, 5, 5, 5, 5, 5}, regions: 2, partitions: 4096, replicas: 3, quick: true},
	{family: "Two regions", zones: []int{8, 8, 4, 4}, regions: 2, partitions: 4096, replicas: 3},
	{family: "Weights 1, 2 and 4", zones: []int{30}, weights: []int{1, 2, 4}, partitions: 4096, replicas: 3, quick: true},
	{family: "Weights 1, 2 and 4", zones: []int{12, 12, 12}, weights: []int{1, 2, 4}, partitions: 4096, replicas: 3},
}

// members returns the nodes of the layout, and one joiner for each zone and
// weight. IDs follow from the seed. The order of IDs is independent of zones and
// weights.
func (l layout) members(seed uint64) (nodes, joiners []ring.Node) {
	random := rand.New(rand.NewPCG(seed, 0))
	node := func(zone, weight int) ring.Node {
		return ring.Node{
			ID:     fmt.Sprintf("%016x", random.Uint64()),
			Region: fmt.Sprintf("region-%d", zone*max(l.regions, 1)/len(l.zones)),
			Zone:   fmt.Sprintf("zone-%d", zone),
			Weight: weight,
		}
	}
	for z, size := range l.zones {
		for i := range size {
			nodes = append(nodes, node(z, l.weight(i)))
		}
	}
	for z := range l.zones {
		for i := range max(len(l.weights), 1) {
			joiners = append(joiners, node(z, l.weight(i)))
		}
	}
	return nodes, joiners
}

// weight is that of a zone's i-th member.
func (l layout) weight(i int) int {
	if len(l.weights) == 0 {
		return 1
	}
	return l.weights[i%len(l.weights)]
}

// size is the number of members.
func (l layout) size() int {
	total := 0
	for _, n := range l.zones {
		total += n
	}
	return total
}

// shape is the zones in words.
func (l layout) shape() string {
	first, count := l.zones[0], len(l.zones)
	equal := !slices.ContainsFunc(l.zones, func(n int) bool { return n != first })
	switch {
	case count == 1:
		return "one zone"
	case equal && l.regions > 1:
		return fmt.Sprintf("%d regions × %d zones of %d", l.regions, count/l.regions, first)
	case equal:
		return fmt.Sprintf("%d zones of %d", count, first)
	case l.regions > 1:
		return fmt.Sprintf("%d regions, zones of %s", l.regions, slashed(l.zones))
	}
	return "zones of " + slashed(l.zones)
}

// String is the layout in one line, distinct for each.
func (l layout) String() string {
	weights := ""
	if len(l.weights) > 0 {
		weights = " of weight " + slashed(l.weights)
	}
	return fmt.Sprintf("%s, %d members%s, %d partitions × %d", l.shape(), l.size(), weights, l.partitions, l.replicas)
}

func slashed(values []int) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = strconv.Itoa(v)
	}
	return strings.Join(parts, "/")
}

// atBest is a lower bound of the fullest member's replicas over the mean, while
// partitions span as many zones as they can: small or few zones must hold their part
// of every partition, and a member owns a partition once. The bound ignores regions
// and the rounding to whole slots.
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

// copies is how many owners of one partition a zone of some members has, at least
// and at most, when the counts of zones differ by one unless a zone runs out.
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
