package rebalance_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

func TestBalancedValidate(t *testing.T) {
	for slack, name := range map[int]string{
		0:           "balanced/3",
		option.None: "balanced/3:slack=exact",
		1:           "balanced/3:slack=1",
		10_000:      "balanced/3:slack=10000",
	} {
		require.NoError(t, rebalance.Balanced{Slack: slack}.Validate())
		require.Equal(t, name, rebalance.Balanced{Slack: slack}.Name())
	}
	for _, slack := range []int{math.MinInt, -2, 10_000 + 1, math.MaxInt} {
		want := fmt.Sprintf("Slack is %d: must be between 0 and 10000, or option.None", slack)
		require.EqualError(t, rebalance.Balanced{Slack: slack}.Validate(), want)
		topology := ring.Topology{Nodes: []ring.Node{{ID: "a", Weight: 1}}, PartitionCount: 1, Replicas: 1}
		require.EqualError(t, rebalance.Balanced{Slack: slack}.Assign(topology, ring.NewTable(topology)), "rebalance: balanced: "+want)
	}
}

func TestBalancedOverloadValidate(t *testing.T) {
	for overload, version := range map[int]int{0: 0, option.None: 0, 1000: 2, 100_000: 0} {
		require.NoError(t, rebalance.Balanced{Overload: overload, Version: version}.Validate())
	}
	for _, overload := range []int{-2, 1, 1000 - 1, 100_000 + 1} {
		require.EqualError(t, rebalance.Balanced{Overload: overload}.Validate(),
			fmt.Sprintf("Overload is %d: must be between 1000 and 100000, or 0 for 2000, or option.None", overload))
	}
	require.EqualError(t, rebalance.Balanced{Overload: 2000, Version: 1}.Validate(), "Overload is 2000: must be 0 in version 1, which has no such bound")
}

// seeded makes zones of the given sizes, and gives them to a number of regions in turn.
// The names of the members depend on a seed.
func seeded(seed, regions int, zones ...int) []ring.Node {
	var nodes []ring.Node
	for z, size := range zones {
		for i := range size {
			nodes = append(nodes, ring.Node{ID: fmt.Sprintf("s%d-%d-%d", seed, z, i), Region: fmt.Sprint(z % regions), Zone: fmt.Sprint(z), Weight: 1})
		}
	}
	return nodes
}

func equal(zones, each int) []int {
	sizes := make([]int, zones)
	for i := range sizes {
		sizes[i] = each
	}
	return sizes
}

// figure collects one measure, in thousandths, over many seeds.
type figure struct{ worst, sum, n int }

func (f *figure) add(value, of int) {
	thousandths := value * 1000 / max(1, of)
	f.worst, f.sum, f.n = max(f.worst, thousandths), f.sum+thousandths, f.n+1
}

func (f figure) mean() int { return f.sum / max(1, f.n) }

func (f figure) String() string { return fmt.Sprintf("mean %d worst %d", f.mean(), f.worst) }

// bound is the largest value that a figure may have, in thousandths. Zero means that
// the figure is not measured.
type bound struct{ mean, worst int }

// TestBalancedBudgets checks the bounds of movement, balance and spread that the
// strategy promises. Movement is divided by the minimum: for a join and a leave the
// fair share of one member, for the loss of a zone the slots that were lost. Members
// join and leave one zone after the other, so that every one of unequal zones is
// measured.
//
// With zones of 5, 3 and 2, and of 8 and 2, one of two members of a zone may leave. The other
// member would own all partitions, three times its fair share, and the bound of Overload leaves it two
// thirds of them. These are the first two thirds in its own order. Before, the two members had
// divided all partitions, also those late in the orders of both. So the member that stays gives up
// some of its partitions: up to 0.2 of a fair share moves more than without the bound. The function
// of the members that stay does not know which partitions the leaver had.
func TestBalancedBudgets(t *testing.T) {
	none := bound{}
	for _, tc := range []struct {
		zones            []int
		regions          int
		partitions       int
		join, leave      bound
		zoneLoss         bound
		fullest, primary int // the largest load over the mean; 0 where shares differ
	}{
		{[]int{10}, 1, 4096, bound{1010, 1030}, bound{1010, 1030}, none, 1030, 1050},
		{[]int{100}, 1, 4096, bound{1100, 1170}, bound{1100, 1160}, none, 1076, 1140},
		{equal(3, 3), 1, 4096, bound{1010, 1010}, bound{1010, 1030}, bound{1010, 1020}, 1030, 1050},
		{equal(3, 10), 1, 4096, bound{1010, 1030}, bound{1020, 1070}, bound{1010, 1020}, 1040, 1080},
		{equal(3, 33), 1, 4096, bound{1100, 1130}, bound{1100, 1150}, bound{1010, 1020}, 1076, 1140},
		{equal(4, 10), 1, 4096, bound{1100, 1150}, bound{1130, 1220}, bound{1010, 1020}, 1046, 1080},
		{equal(2, 15), 2, 4096, bound{1100, 1150}, bound{1100, 1140}, bound{1100, 1150}, 1040, 1080},
		{equal(4, 10), 2, 4096, bound{1170, 1260}, bound{1320, 1490}, bound{1100, 1150}, 1046, 1080},
		{equal(5, 6), 1, 4096, bound{1100, 1100}, bound{1100, 1180}, bound{1010, 1020}, 1040, 1080},
		{[]int{5, 3, 2}, 1, 4096, bound{1100, 1250}, bound{1190, 1920}, bound{1010, 1020}, 0, 0},
		{[]int{16, 12, 8, 4}, 1, 4096, bound{1350, 1850}, bound{1250, 1800}, none, 0, 0},
		{[]int{20, 10}, 1, 4096, bound{1600, 2100}, bound{1400, 1850}, none, 0, 0},
		{[]int{8, 2}, 1, 4096, bound{1100, 1240}, bound{1350, 1890}, none, 0, 0},
		{equal(4, 2), 1, 4096, bound{1400, 1340}, bound{1110, 1150}, none, 1030, 1050},
		{[]int{1000}, 1, 65536, bound{1200, 1300}, bound{1200, 1300}, none, 1080, 1150},
	} {
		t.Run(fmt.Sprint(tc.zones, " in ", tc.regions), func(t *testing.T) {
			if testing.Short() && len(tc.zones) < 4 {
				t.Skip("builds hundreds of rings")
			}
			seeds := 20
			if tc.partitions > 4096 {
				seeds = 10
			}
			var join, leave, loss, fullest, primary figure
			for seed := range seeds {
				nodes := seeded(seed, tc.regions, tc.zones...)
				r := build(t, rebalance.Balanced{}, tc.partitions, 3, nodes)
				spread := r.Spread()
				require.Zero(t, spread.ZoneViolations+spread.RegionViolations, "seed %d", seed)
				owned, primaries := slots(r)
				if tc.fullest > 0 {
					fullest.add(most(owned)*len(nodes), 3*tc.partitions)
					primary.add(most(primaries)*len(nodes), tc.partitions)
					requireBelowLimit(t, owned, 3*tc.partitions, seed)
				}

				like := nodes[0]
				zone := fmt.Sprint(seed % len(tc.zones))
				var gone []string
				lost := 0
				for _, n := range nodes {
					if n.Zone == zone {
						like = n
						gone = append(gone, n.ID)
						lost += owned[n.ID]
					}
				}
				leaver := like.ID
				like.ID = fmt.Sprint("joiner-", seed)
				join.add(moves(t, r, rebalance.Change{Add: []ring.Node{like}})*(len(nodes)+1), 3*tc.partitions)
				leave.add(moves(t, r, rebalance.Change{Remove: []string{leaver}})*len(nodes), 3*tc.partitions)
				if tc.zoneLoss != none {
					loss.add(moves(t, r, rebalance.Change{Remove: gone}), lost)
				}
			}
			t.Logf("join %v | leave %v | zone loss %v | fullest %v | primary %v", join, leave, loss, fullest, primary)
			hold(t, "join", join, tc.join)
			hold(t, "leave", leave, tc.leave)
			hold(t, "zone loss", loss, tc.zoneLoss)
			assert.LessOrEqual(t, fullest.worst, tc.fullest, "slots of the fullest member")
			assert.LessOrEqual(t, primary.worst, tc.primary, "primaries of the fullest member")
		})
	}
}

func hold(t *testing.T, what string, f figure, b bound) {
	t.Helper()
	assert.LessOrEqual(t, f.mean(), b.mean, "%s, mean", what)
	assert.LessOrEqual(t, f.worst, b.worst, "%s, worst", what)
}

// requireBelowLimit checks the bound that the documentation gives for members of equal
// shares: the mean, plus three quarters of its square root, plus one.
func requireBelowLimit(t *testing.T, owned map[string]int, all, seed int) {
	t.Helper()
	mean := float64(all) / float64(len(owned))
	for id, n := range owned {
		require.LessOrEqual(t, float64(n), mean+0.75*math.Sqrt(mean)+1, "seed %d, member %s", seed, id)
	}
}

func most(counts map[string]int) (most int) {
	for _, n := range counts {
		most = max(most, n)
	}
	return most
}

func moves(t *testing.T, r *ring.Ring, c rebalance.Change) int {
	t.Helper()
	_, plan, err := rebalance.WhatIf(r, c)
	require.NoError(t, err)
	return len(plan.Moves)
}

// Exact slack: no member has more than the mean, rounded up.
func TestBalancedExactly(t *testing.T) {
	for seed := range 10 {
		for _, n := range []int{1, 2, 7, 30, 100} {
			owned, primaries := slots(build(t, rebalance.Balanced{Slack: option.None}, 1000, 3, seeded(seed, 1, n)))
			require.LessOrEqual(t, most(owned), (1000*min(3, n)+n-1)/n, "%d members, seed %d", n, seed)
			require.LessOrEqual(t, most(primaries), (1000+n-1)/n, "%d members, seed %d", n, seed)
		}
	}
}

// A slack in parts per thousand bounds the load as well.
func TestBalancedWithinSlack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slack := rapid.IntRange(1, 400).Draw(t, "slack")
		n, partitions := rapid.IntRange(3, 60).Draw(t, "members"), rapid.IntRange(1, 3000).Draw(t, "partitions")
		owned, _ := slots(build(t, rebalance.Balanced{Slack: slack}, partitions, 3, seeded(rapid.Int().Draw(t, "seed"), 1, n)))
		share := float64(3*partitions) / float64(n)
		require.LessOrEqual(t, float64(most(owned)), max(share*(1+float64(slack)/1000)+1, math.Ceil(share)))
	})
}

// When one of a hundred members is lost, many members take its partitions over: with
// each of twenty seeds at least 80, and none of them takes more than a small part.
func TestBalancedSpreadsLostLoad(t *testing.T) {
	var peers, heirs, largest figure
	for seed := range 20 {
		r := build(t, rebalance.Balanced{}, 4096, 3, seeded(seed, 1, 100))
		lost := r.Nodes()[50].ID
		others := make(map[string]int)
		for _, p := range r.All() {
			if p.Owns(lost) {
				for _, o := range p.All() {
					others[o.ID()]++
				}
			}
		}
		slots := others[lost]
		delete(others, lost)
		_, plan, err := rebalance.WhatIf(r, rebalance.Change{Remove: []string{lost}})
		require.NoError(t, err)
		gains, top := 0, 0
		for _, m := range plan.Members {
			if gain := m.Gained - m.Lost; gain > 0 {
				gains++
				top = max(top, gain)
			}
		}
		peers.add(len(others), 1000)
		heirs.add(gains, 1000)
		largest.add(top, slots)
		require.GreaterOrEqual(t, len(others), 75, "seed %d", seed)
	}
	t.Logf("others in the lost member's rows: %v; those who gain: %v; the largest part of its slots: %v", peers, heirs, largest)
	require.GreaterOrEqual(t, peers.mean(), 80)
	require.LessOrEqual(t, largest.mean(), 80)
	require.LessOrEqual(t, largest.worst, 100)
}

// A rolling restart, in which each member leaves and comes back before the next one,
// ends with the same table as before.
func TestBalancedRollingRestart(t *testing.T) {
	nodes := seeded(3, 1, 5, 5, 5)
	want := build(t, rebalance.Balanced{}, 512, 3, nodes).Fingerprint()
	for i := range nodes {
		without := append(append([]ring.Node(nil), nodes[:i]...), nodes[i+1:]...)
		require.NotEqual(t, want, build(t, rebalance.Balanced{}, 512, 3, without).Fingerprint())
		require.Equal(t, want, build(t, rebalance.Balanced{}, 512, 3, append(without, nodes[i])).Fingerprint())
	}
}

// Clusters at the bounds: few members, partitions and zones; numbers that are no power
// of two; weights as far apart as the bounds allow; more owners than the zones have
// members.
func TestBalancedAtTheBounds(t *testing.T) {
	heavy := func(zones ...int) []ring.Node {
		nodes := seeded(1, 2, zones...)
		for i := range nodes {
			nodes[i].Weight = []int{1, 1 << 20, 3}[i%3]
		}
		return nodes
	}
	// The fair share of one member is all slots of its zone, while its zone does not have
	// a slot in every row.
	due := seeded(1, 2, 1, 1, 1, 1)
	due[0].Weight, due[1].Weight, due[2].Weight, due[3].Weight = 1<<20, 2, 1<<20, 1<<20
	for _, s := range []rebalance.Balanced{{}, {Slack: option.None}, {Slack: 1}, {Slack: 10_000}} {
		for _, nodes := range [][]ring.Node{seeded(1, 1, 1), seeded(1, 1, 2), heavy(1), heavy(2, 1), heavy(16), heavy(1, 1, 30), heavy(20, 1, 1, 1), heavy(5, 5, 5, 5), due} {
			for _, partitions := range []int{1, 2, 3, 9, 97, 250} {
				for _, replicas := range []int{1, 2, 3, 5, 16} {
					c := strategytest.Cluster{Nodes: nodes, PartitionCount: partitions, ReplicationFactor: replicas}
					at := fmt.Sprintf("%s %v partitions %d replicas %d", s.Name(), nodes, partitions, replicas)
					require.NoError(t, strategytest.CheckCluster(s, c, strategytest.Options{}), at)
				}
			}
		}
	}
	table := build(t, rebalance.Balanced{}, ring.MaxPartitionCount, 3, seeded(1, 1, 3, 3, 3))
	require.Zero(t, table.Spread().ZoneViolations)
}

// The example of the documentation: permutations, owners, and the partitions that the
// third member moves.
func TestBalancedWorkedExample(t *testing.T) {
	rows := func(ids ...string) string {
		var nodes []ring.Node
		for _, id := range ids {
			nodes = append(nodes, ring.Node{ID: id})
		}
		var row strings.Builder
		for _, p := range build(t, rebalance.Balanced{}, 12, 1, nodes).All() {
			owner, _ := p.Primary()
			row.WriteString(owner.ID())
		}
		return row.String()
	}
	require.Equal(t, "abbaaabbaaab", rows("a", "b"))
	require.Equal(t, "cbcaaacbaccb", rows("a", "b", "c"))
}

// Few primaries move, also where every member owns every partition. The figures are the
// primaries that change, divided by the primaries of the member that joins or is lost.
func TestBalancedPrimaries(t *testing.T) {
	for _, tc := range []struct {
		zones       []int
		replicas    int
		fullest     int // the largest number over the mean
		join, leave bound
	}{
		{[]int{2}, 3, 1020, bound{1010, 1010}, bound{1010, 1010}},
		{[]int{3}, 3, 1030, bound{1010, 1020}, bound{1010, 1020}},
		{[]int{1, 1, 1}, 3, 1030, bound{1010, 1030}, bound{1010, 1030}},
		{[]int{5}, 3, 1030, bound{1010, 1030}, bound{1010, 1030}},
		{equal(3, 3), 3, 1040, bound{1020, 1050}, bound{1020, 1050}},
		{[]int{30}, 1, 1080, bound{1060, 1100}, bound{1060, 1100}},
		{equal(3, 10), 3, 1080, bound{1080, 1150}, bound{1060, 1150}},
		{[]int{100}, 3, 1140, bound{1300, 1500}, bound{1250, 1400}},
	} {
		var join, leave, fullest figure
		for seed := range 10 {
			nodes := seeded(seed, 1, tc.zones...)
			r := build(t, rebalance.Balanced{}, 4096, tc.replicas, nodes)
			_, primaries := slots(r)
			fullest.add(most(primaries)*len(nodes), 4096)
			joiner := nodes[0]
			joiner.ID = fmt.Sprint("joiner-", seed)
			to, plan, err := rebalance.WhatIf(r, rebalance.Change{Add: []ring.Node{joiner}})
			require.NoError(t, err)
			_, after := slots(to)
			join.add(plan.PrimaryChanges, after[joiner.ID])
			_, plan, err = rebalance.WhatIf(r, rebalance.Change{Remove: []string{nodes[0].ID}})
			require.NoError(t, err)
			leave.add(plan.PrimaryChanges, primaries[nodes[0].ID])
		}
		t.Logf("%v: join %v | leave %v | fullest %v", tc.zones, join, leave, fullest)
		hold(t, fmt.Sprint(tc.zones, " join"), join, tc.join)
		hold(t, fmt.Sprint(tc.zones, " leave"), leave, tc.leave)
		assert.LessOrEqual(t, fullest.worst, tc.fullest, "%v", tc.zones)
	}
}
