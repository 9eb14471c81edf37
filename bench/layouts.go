package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/clusterkit/clusterkit/ring"
)

// layout is a cluster to place partitions on, without the names of its members.
type layout struct {
	family     string // the heading of the layout in the report
	zones      []int  // the number of members of each zone
	regions    int    // the number of regions, to which the zones are given in turn; zero means 1
	weights    []int  // given to the members of each zone in turn; none means all 1
	partitions int
	replicas   int
	quick      bool // also measured with -quick
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

// members returns the nodes of the layout, and one joining node for each zone and
// weight. The seed determines the IDs. Their order is independent of zones and weights.
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

// weight returns the weight of the i-th member of a zone.
func (l layout) weight(i int) int {
	if len(l.weights) == 0 {
		return 1
	}
	return l.weights[i%len(l.weights)]
}

// size returns the number of members.
func (l layout) size() (total int) {
	for _, n := range l.zones {
		total += n
	}
	return total
}

// String describes the layout in one line, different for each layout.
func (l layout) String() string {
	regions, weights := "", ""
	if l.regions > 1 {
		regions = fmt.Sprintf(" in %d regions", l.regions)
	}
	if len(l.weights) > 0 {
		weights = " of weight " + slashed(l.weights)
	}
	return fmt.Sprintf("zones of %s%s, %d members%s, %d partitions × %d", slashed(l.zones), regions, l.size(), weights, l.partitions, l.replicas)
}

func slashed(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", "/")
}

// atBest returns a lower bound of the fullest member's replicas over the mean, where
// partitions are in as many zones as possible: small or few zones must hold their part
// of every partition, and a member owns a partition only once. The bound ignores
// regions and the rounding to whole slots.
func (l layout) atBest() float64 {
	replicas, weights := float64(min(l.replicas, l.size())), 0.0
	// enough reports whether members can hold all replicas of a partition when
	// each holds at most its weight times level of it.
	enough := func(level float64) bool {
		all := 1e-12
		weights = 0
		for _, size := range l.zones {
			least, most := l.copies(size)
			held := 1e-12
			for i := range size {
				weights += float64(l.weight(i))
				held += min(1, level*float64(l.weight(i)))
			}
			if held < float64(least) {
				return false
			}
			all += min(held, float64(most))
		}
		return all >= replicas
	}
	low, high := 0.0, 1.0
	for range 60 {
		if middle := (low + high) / 2; enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	enough(high)
	return high * weights / replicas
}

// copies returns the least and the largest number of owners of one partition in a zone
// of some members, when the numbers of two zones differ by at most one unless a zone
// has too few members.
func (l layout) copies(members int) (least, most int) {
	replicas := min(l.replicas, l.size())
	for t := 1; ; t++ {
		held := 0
		for _, size := range l.zones {
			held += min(size, t)
		}
		switch {
		case held == replicas:
			return min(members, t), min(members, t)
		case held > replicas:
			return min(members, t-1), min(members, t)
		}
	}
}
