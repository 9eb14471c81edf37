package rebalance

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// exactly returns the probabilities of included by going through all orders of arrival.
func exactly(rates []uint64, n int) []float64 {
	got := make([]float64, len(rates))
	var arrive func(here []bool, n int, probability float64)
	arrive = func(here []bool, n int, probability float64) {
		if n == 0 {
			return
		}
		sum := 0.0
		for i, rate := range rates {
			if !here[i] {
				sum += float64(rate)
			}
		}
		for i, rate := range rates {
			if here[i] {
				continue
			}
			p := probability * float64(rate) / sum
			got[i] += p
			next := slices.Clone(here)
			next[i] = true
			arrive(next, n-1, p)
		}
	}
	arrive(make([]bool, len(rates)), n, 1)
	return got
}

func TestIncluded(t *testing.T) {
	for _, rates := range [][]uint64{{12, 8, 5}, {1, 1}, {20, 11}, {2, 2, 2, 1}, {1000, 500, 20, 10, 1}, {1 << 16, 3, 1, 1}} {
		for n := 1; n <= len(rates); n++ {
			want := exactly(rates, n)
			for i, p := range included(rates, n) {
				require.InDelta(t, want[i], float64(p)/whole, 0.006, "%v, %d slots, unit %d", rates, n, i)
			}
		}
	}
}

// The rates that are found give the probabilities that are wanted.
func TestRatesFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 7).Draw(t, "units")
		n := rapid.IntRange(1, k-1).Draw(t, "slots")
		var rates []uint64
		for range k {
			rates = append(rates, rapid.Uint64Range(1, 60).Draw(t, "rate"))
		}
		wanted := included(rates, n)
		got := included(ratesFor(wanted, n), n)
		for i, p := range wanted {
			require.InDelta(t, float64(p)/whole, float64(got[i])/whole, 0.01, "unit %d of %v", i, rates)
		}
	})
}

// Probabilities that cannot be reached do no harm.
func TestRatesForTheImpossible(t *testing.T) {
	for _, wanted := range [][]uint64{{0, 0, 0}, {whole, whole, whole}, {whole, 0, 0}, {whole, 1, whole - 1}, {1, 1, 1 << 20}} {
		for n := 1; n <= 3; n++ {
			for _, rate := range ratesFor(wanted, n) {
				require.GreaterOrEqual(t, rate, uint64(1))
				require.LessOrEqual(t, rate, uint64(maxRate))
			}
		}
	}
}

// A race with paces gives zones their shares, so that few slots are left open.
func TestPacedRaceFollowsShares(t *testing.T) {
	for _, sizes := range [][]int{{16, 12, 8, 5}, {16, 11, 8, 4}, {3, 3, 2, 2}, {11, 5, 4, 2}} {
		topology := ring.Topology{PartitionCount: 4096, Replicas: 3}
		for z, size := range sizes {
			for i := range size {
				topology.Nodes = append(topology.Nodes, ring.Node{ID: fmt.Sprintf("%d-%02d", z, i), Zone: fmt.Sprint(z), Weight: 1})
			}
		}
		orders := make([]permutation, len(topology.Nodes))
		for i, n := range topology.Nodes {
			orders[i] = newPermutation(n.ID)
		}
		l := newLayout(topology.Nodes)
		levels := newLevels(topology, l, orders, 0, option.None)
		unitOf := ancestors(levels[2:])
		weights := make([]uint64, len(orders))
		for m := range weights {
			weights[m] = 1
		}
		race := func(pace, times []uint64) *race {
			for u := range levels[2] {
				levels[2][u].load = 0
			}
			r := newRace(3, make([]int32, 3*4096), levels[0], levels[2])
			r.run(levels[3], unitOf, pace, orders, times, topology.Stopped)
			return r
		}
		first := race(weights, nil)
		pace := first.paces(levels[3], unitOf)
		require.NotNil(t, pace, "%v", sizes)
		second := race(pace, newTimes(4096))
		t.Log(sizes, "open without paces", first.open, "with paces", second.open)
		require.Less(t, second.open*4, first.open)
		for u := range second.units {
			at := &second.units[u]
			require.InDelta(t, float64(at.share>>16), float64(at.load), 3*math.Sqrt(4096)/2, "zone %d of %v", u, sizes)
		}
	}
}
