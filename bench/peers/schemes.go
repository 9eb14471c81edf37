package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// The size of the table of schemes.
const (
	schemeSeeds, schemeMembers, schemePartitions = 10, 100, 4096
)

// A scheme places partitions on members in one zone. The published schemes that no library offers
// for partitions with replicas have small implementations here.
type scheme struct {
	name    string
	history bool // place reads the table before
	// place returns the owners of all partitions, replicas numbers of members each, the primary
	// first. Before is the table of another set of members, or nil.
	place func(w *world, members []int, before []int) []int
}

var schemes = []scheme{
	strategyScheme("Balanced", rebalance.Balanced{}),
	strategyScheme("Balanced, slack 200 ‰", rebalance.Balanced{Slack: 200}),
	strategyScheme("Balanced, exact", rebalance.Balanced{Slack: option.None}),
	strategyScheme("Rendezvous", rebalance.Rendezvous{}),
	strategyScheme("ConsistentHash", rebalance.ConsistentHash{}),
	{name: "highest random weight, straw2", place: highestWeight},
	{name: "highest random weight, bounded", place: boundedWeight},
	{name: "stable matching, 5 % slack", place: stableMatching},
	{name: "Maglev, once for each owner", place: maglev},
	{name: "consistent v1.0.0, closest owners", place: closestOwners},
	{name: "min-cost flow on ranks, 7 % slack", place: cheapestFlow},
	{name: "straw2 with upmap", history: true, place: upmap},
	{name: "sticky optimum", history: true, place: sticky},
}

// world has the members that a scheme may get, with the scores and ranks that they give to
// partitions.
type world struct {
	partitions int
	ids        []string
	score      [][]uint64 // for each member and partition, a random number; the highest is best
	rank       [][]int    // for each member and partition, its place in the member's random order
}

func newWorld(seed uint64, members, partitions int) *world {
	w := &world{partitions: partitions}
	for m := range members {
		random := rand.New(rand.NewPCG(seed, uint64(m)))
		scores := make([]uint64, partitions)
		for p := range scores {
			scores[p] = random.Uint64()
		}
		w.ids = append(w.ids, fmt.Sprintf("s%d-%d", seed, m))
		w.score, w.rank = append(w.score, scores), append(w.rank, random.Perm(partitions))
	}
	return w
}

// limit is the largest number of slots of a member that may have some thousandths more than the
// mean.
func (w *world) limit(members, thousandths int) int {
	slots := w.partitions * replicas * (1000 + thousandths)
	return (slots + 1000*members - 1) / (1000 * members)
}

// strategyScheme is a strategy of clusterkit.
func strategyScheme(name string, s ring.RebalanceStrategy) scheme {
	return scheme{name: name, place: func(w *world, members, _ []int) []int {
		number := make(map[string]int)
		nodes := make([]ring.Node, 0, len(members))
		for _, m := range members {
			number[w.ids[m]] = m
			nodes = append(nodes, ring.Node{ID: w.ids[m]})
		}
		r, err := ring.Build(ring.Config{PartitionCount: w.partitions, ReplicationFactor: replicas, Strategy: s}, nodes)
		if err != nil {
			panic(err) // the strategies are valid
		}
		var table []int
		for _, p := range r.All() {
			for _, owner := range p.All() {
				table = append(table, number[owner.ID()])
			}
		}
		return table
	}}
}

// spreadOf is the worst and the mean value of a figure.
type spreadOf struct {
	worst, sum float64
	n          int
}

func (s *spreadOf) add(v float64) { s.worst, s.sum, s.n = max(s.worst, v), s.sum+v, s.n+1 }

func (s spreadOf) String() string {
	return fmt.Sprintf("%.3f / %.3f", s.worst, s.sum/float64(max(s.n, 1)))
}

// schemeFigures are the figures of one scheme: the fullest member over the mean, and the slots that
// move over those that the joining member gets or the leaving one had.
type schemeFigures struct{ fullest, primaries, join, leave spreadOf }

// measureScheme places a number of members with several seeds. Then one member joins, and
// another one leaves.
func measureScheme(s scheme, seeds, members, partitions int) (f schemeFigures) {
	for seed := range seeds {
		w := newWorld(uint64(seed+1), members+1, partitions)
		all := make([]int, members+1)
		for m := range all {
			all[m] = m
		}
		at := s.place(w, all[:members], nil)
		owned, first := make([]int, members+1), make([]int, members+1)
		for i, m := range at {
			owned[m]++
			if i%replicas == 0 {
				first[m]++
			}
		}
		f.fullest.add(float64(slices.Max(owned)*members) / float64(len(at)))
		f.primaries.add(float64(slices.Max(first)*members) / float64(partitions))
		gained := 0
		joined := s.place(w, all, at)
		for _, m := range joined {
			if m == members {
				gained++
			}
		}
		f.join.add(float64(moved(at, joined)) / float64(gained))
		leaver := seed % members
		left := s.place(w, slices.Delete(slices.Clone(all[:members]), leaver, leaver+1), at)
		f.leave.add(float64(moved(at, left)) / float64(owned[leaver]))
	}
	return f
}

// moved counts the owners that a partition has in one table alone.
func moved(from, to []int) (n int) {
	for i, m := range to {
		if p := i / replicas * replicas; !slices.Contains(from[p:p+replicas], m) {
			n++
		}
	}
	return n
}

// compareSchemes writes a table of some schemes.
func compareSchemes(list []scheme, seeds, members, partitions int, out io.Writer) error {
	t := measure.Table{
		Title: fmt.Sprintf("%d members in one zone, %d partitions, %d replicas, worst / mean of %d seeds", members, partitions, replicas, seeds),
		Head:  []string{"scheme", "max/mean", "primaries", "join", "leave", "history-free"},
		Note:  "join, leave: the slots that move over those that the one member gets or had. Schemes with a history need a coordinator.",
	}
	for _, s := range list {
		f := measureScheme(s, seeds, members, partitions)
		free := "yes"
		if s.history {
			free = "no"
		}
		t.Rows = append(t.Rows, []string{s.name, f.fullest.String(), f.primaries.String(), f.join.String(), f.leave.String(), free})
	}
	return t.Write(out)
}
