package rebalance

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// generatedTopology draws random members in up to three regions of up to three zones.
func generatedTopology(t *rapid.T) ring.Topology {
	n := rapid.IntRange(1, 40).Draw(t, "members")
	topology := ring.Topology{
		PartitionCount: rapid.IntRange(1, 200).Draw(t, "partitions"),
		Replicas:       rapid.IntRange(1, min(n, 16)).Draw(t, "replicas"),
	}
	salt := rapid.Int().Draw(t, "salt")
	for i := range n {
		topology.Nodes = append(topology.Nodes, ring.Node{
			ID:     fmt.Sprintf("%03d-%d", i, salt),
			Region: rapid.SampledFrom([]string{"eu", "eu", "eu", "us", "as"}).Draw(t, "region"),
			Zone:   rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(t, "zone"),
			Weight: rapid.SampledFrom([]int{1, 1, 1, 2, 7, 1000, 1 << 20}).Draw(t, "weight"),
		})
	}
	return topology
}

// No region, no zone and no member goes over its limit of slots, whatever the weights,
// and every slot is taken once. The sum of the limits is at least the number of slots.
func TestBalancedKeepsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topology := generatedTopology(t)
		s := rapid.SampledFrom([]slack{0, option.None, 1, 50, maxSlack}).Draw(t, "slack")
		orders := make([]permutation, len(topology.Nodes))
		for i, n := range topology.Nodes {
			orders[i] = newPermutation(n.ID)
		}
		levels := newLevels(topology, newLayout(topology.Nodes), orders, s, rapid.SampledFrom([]overload{option.None, 1000, 1300, 2000, 5000}).Draw(t, "overload"))
		r := raceAll(topology, levels, orders, rapid.Bool().Draw(t, "paced"))
		slots := uint64(topology.PartitionCount * topology.Replicas)
		for level, units := range levels[1:] {
			var sum, room uint64
			for i, u := range units {
				require.LessOrEqual(t, u.load, u.limit, "level %d, unit %d", level, i)
				require.LessOrEqual(t, u.load, u.high*uint64(topology.PartitionCount), "level %d, unit %d", level, i)
				sum, room = sum+u.load, room+u.limit
			}
			require.Equal(t, slots, sum, "level %d", level)
			require.GreaterOrEqual(t, room, slots, "level %d", level)
		}
		require.Len(t, r.order, int(slots))
		seen := make(map[int32]bool)
		for _, slot := range r.order {
			require.False(t, seen[slot], "slot %d twice", slot)
			seen[slot] = true
		}
	})
}

// Shares are in proportion to weights as far as the bounds allow, and their sum is the
// number of slots, up to rounding.
func TestSharesFollowWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topology := generatedTopology(t)
		orders := make([]permutation, len(topology.Nodes))
		members := newLevels(topology, newLayout(topology.Nodes), orders, 0, option.None)[3]
		sum := uint64(0)
		for i, m := range members {
			sum += m.share
			for j, other := range members {
				if m.group == other.group && m.weight <= other.weight {
					require.LessOrEqual(t, m.share, other.share, "members %d and %d", i, j)
				}
			}
		}
		slots := uint64(topology.PartitionCount*topology.Replicas) << 16
		// Where weights are far apart, a small share is rounded up to 2^-16.
		require.GreaterOrEqual(t, sum, slots)
		require.LessOrEqual(t, sum-slots, slots/1000+1<<16)
	})
}

// A permutation holds every partition once, for any number of partitions.
func TestPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPermutation(rapid.String().Draw(t, "id"))
		n := rapid.IntRange(1, 5000).Draw(t, "partitions")
		d, seen := newDomain(n), make([]bool, n)
		for rank := range n {
			at := p.at(uint64(rank), &d)
			require.False(t, seen[at], "partition %d twice", at)
			seen[at] = true
		}
	})
}

// Two permutations agree on the rank of a partition only as often as two random
// permutations.
func TestPermutationsDiffer(t *testing.T) {
	const partitions, members = 1024, 60
	d, same := newDomain(partitions), 0
	for a := range members {
		for b := range a {
			x, y := newPermutation(fmt.Sprint("n", a)), newPermutation(fmt.Sprint("n", b))
			for rank := range uint64(partitions) {
				if x.at(rank, &d) == y.at(rank, &d) {
					same++
				}
			}
		}
	}
	pairs := members * (members - 1) / 2 // one coincidence for each pair is expected
	require.InDelta(t, pairs, same, float64(pairs)/8)
}

// The permutations are those of the documentation.
func TestPermutationsOfTheDocumentation(t *testing.T) {
	for id, want := range map[string]string{
		"a": "[5 4 8 3 10 11 7 9 1 6 2 0]",
		"b": "[5 1 11 7 3 10 4 6 2 8 9 0]",
		"c": "[9 10 6 1 0 3 2 5 11 7 8 4]",
	} {
		p, d := newPermutation(id), newDomain(12)
		var order []uint64
		for rank := range uint64(12) {
			order = append(order, p.at(rank, &d))
		}
		require.Equal(t, want, fmt.Sprint(order), id)
	}
}

// A slot is filled also where no unit has room.
func TestChainsGoOverLimitsLast(t *testing.T) {
	owners := []int32{0, 1, open}
	units := []unit{{load: 1, limit: 1}, {load: 1, limit: 1}, {limit: 1}}
	may := map[int][]int32{0: {0, 1}, 1: {1, 2}, 2: {0}}
	c := newChains(owners, units, func(slot int) []int32 { return may[slot] })
	c.fill(2)
	require.Equal(t, []int32{1, 2, 0}, owners, "0 takes it, 1 takes what 0 had, 2 what 1 had")
	require.Equal(t, uint64(1), units[2].load)

	owners = []int32{0, open}
	units = []unit{{load: 1, limit: 1}}
	newChains(owners, units, func(int) []int32 { return []int32{0} }).fill(1)
	require.Equal(t, []int32{0, 0}, owners)
	require.Equal(t, uint64(2), units[0].load)
}
