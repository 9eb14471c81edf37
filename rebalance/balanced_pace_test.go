package rebalance_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
)

// unequal are zones of which some are in every row or nearly so, and others are not.
var unequal = [][]int{{16, 12, 8, 5}, {16, 11, 8, 4}, {12, 12, 8, 4}, {11, 5, 4, 2}, {3, 3, 2, 2}, {14, 11, 6, 4, 1, 1}}

// The tables with paces are part of the protocol too. The rings of TestGoldenFingerprints need none.
func TestPacedGolden(t *testing.T) {
	want := map[int][]string{
		2: {"ed36c5f35c399480", "b36fb305286f9758", "02094dc5ed7b3d6e", "d5d2bdb35da6b23c", "f7012d241074344d", "f5d82cb438ac3826"},
		3: {"311b739ee80bc1c3", "c56b8064fa688009", "8a82014e32da1e00", "9facd115d0ded74b", "0ff09fe729af2508", "358abc3ed36b5ae1"},
	}
	for version, want := range want {
		var got []string
		for i, zones := range unequal {
			nodes := seeded(i, 1, zones...)
			for j := range nodes {
				nodes[j].Weight = 1 + i%2*j%3
			}
			got = append(got, build(t, rebalance.Balanced{Version: version}, 1000, 3, nodes).Fingerprint().String())
		}
		require.Equal(t, want, got, "version %d", version)
	}
}

// meanMoves returns what joins in each zone and leaves of each member move, over the slots of the
// member.
func meanMoves(t *testing.T, s ring.RebalanceStrategy, seed int, zones []int) (join, leave figure) {
	t.Helper()
	nodes := seeded(seed, 1, zones...)
	r := build(t, s, 4096, 3, nodes)
	for z := range zones {
		joiner := ring.Node{ID: fmt.Sprintf("joiner-%d-%d", seed, z), Region: "0", Zone: fmt.Sprint(z), Weight: 1}
		to, plan, err := rebalance.WhatIf(r, rebalance.Change{Add: []ring.Node{joiner}})
		require.NoError(t, err)
		owned, _ := slots(to)
		join.add(len(plan.Moves), owned[joiner.ID])
	}
	owned, _ := slots(r)
	for _, n := range nodes {
		leave.add(moves(t, r, rebalance.Change{Remove: []string{n.ID}}), owned[n.ID])
	}
	return join, leave
}

// With zones of 16, 12, 8 and 4 members the zone of 12 is exactly due a slot in every row. Version 2 moves
// up to three times the minimum when it gets one member less than that, or another zone one more.
func TestUnequalZonesMoveLittle(t *testing.T) {
	zones, seeds := []int{16, 12, 8, 4}, 10
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		join, leave := meanMoves(t, rebalance.Balanced{}, seed, zones)
		before, beforeLeave := meanMoves(t, rebalance.Balanced{Version: 2}, seed, zones)
		owned, _ := slots(build(t, rebalance.Balanced{}, 4096, 3, seeded(seed, 1, zones...)))
		t.Logf("seed %d: join %v, leave %v, max/mean %d; version 2: join %v, leave %v", seed, join, leave, most(owned)*40*1000/(3*4096), before, beforeLeave)
		require.LessOrEqual(t, join.mean(), 1350, "seed %d", seed)
		require.LessOrEqual(t, leave.mean(), 1250, "seed %d", seed)
		require.LessOrEqual(t, max(join.worst, leave.worst), 1900, "seed %d", seed)
		require.LessOrEqual(t, most(owned)*40*1000, 1160*3*4096, "seed %d", seed)
	}
}

// A zone grows by one member after the other, from one of the smallest to one of the largest. Paces come and
// go on the way. On the whole less moves than in version 2, and the largest step is smaller.
func TestZonesGrowThroughPaces(t *testing.T) {
	for name, tc := range map[string]struct {
		zones    []int
		grows    int
		to       int
		path     int // all moves over all slots that new members get
		worst    int
		versions bool // version 2 moves more
	}{
		"the smallest of four":     {[]int{16, 12, 8, 2}, 3, 16, 1520, 3600, true},
		"the second of four":       {[]int{16, 8, 8, 4}, 1, 20, 1320, 2400, true},
		"the largest of four":      {[]int{8, 12, 8, 4}, 0, 24, 1260, 2400, true},
		"one of five":              {[]int{4, 4, 4, 4, 4}, 0, 16, 1240, 2100, true},
		"zones that stay the same": {[]int{10, 10, 10, 8}, 3, 12, 1200, 1400, false},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && tc.grows > 0 {
				t.Skip("builds dozens of rings")
			}
			path := func(s rebalance.Balanced) (all figure, total int) {
				moved, gained := 0, 0
				zones := append([]int(nil), tc.zones...)
				before := build(t, s, 4096, 3, seeded(7, 1, zones...))
				for zones[tc.grows] < tc.to {
					joiner := fmt.Sprintf("s7-%d-%d", tc.grows, zones[tc.grows])
					zones[tc.grows]++
					after := build(t, s, 4096, 3, seeded(7, 1, zones...))
					plan, err := rebalance.Diff(before, after)
					require.NoError(t, err)
					owned, _ := slots(after)
					all.add(len(plan.Moves), owned[joiner])
					moved, gained = moved+len(plan.Moves), gained+owned[joiner]
					before = after
				}
				return all, moved * 1000 / gained
			}
			steps, total := path(rebalance.Balanced{})
			old, oldTotal := path(rebalance.Balanced{Version: 2})
			t.Logf("path %d, steps %v; version 2: path %d, steps %v", total, steps, oldTotal, old)
			require.LessOrEqual(t, total, tc.path)
			require.LessOrEqual(t, steps.worst, tc.worst)
			if tc.versions {
				require.Less(t, total, oldTotal)
				require.Less(t, steps.worst, old.worst)
			} else {
				require.Equal(t, oldTotal, total)
			}
		})
	}
}

// A cluster doubles, member by member, with its zones in proportion. Paces come and go on the way, and more may
// move than in version 2. To double it at once moves little more than the minimum.
func TestClustersDouble(t *testing.T) {
	double := func(t *testing.T, s rebalance.Balanced, seed int, from []int) (steps figure, path, atOnce int) {
		zones, left := slices.Clone(from), slices.Clone(from)
		first := build(t, s, 4096, 3, seeded(seed, 1, zones...))
		last, moved, gained := first, 0, 0
		for range len(first.Nodes()) {
			z := 0 // the zone that lacks the largest part of its members
			for i := range left {
				if left[i]*from[z] > left[z]*from[i] {
					z = i
				}
			}
			joiner := fmt.Sprintf("s%d-%d-%d", seed, z, zones[z])
			left[z]--
			zones[z]++
			next := build(t, s, 4096, 3, seeded(seed, 1, zones...))
			plan, err := rebalance.Diff(last, next)
			require.NoError(t, err)
			owned, _ := slots(next)
			steps.add(len(plan.Moves), owned[joiner])
			moved, gained, last = moved+len(plan.Moves), gained+owned[joiner], next
		}
		plan, err := rebalance.Diff(first, last)
		require.NoError(t, err)
		joined := 0
		owned, _ := slots(last)
		for id, n := range owned {
			if _, was := first.Node(id); !was {
				joined += n
			}
		}
		return steps, moved * 1000 / gained, len(plan.Moves) * 1000 / joined
	}
	for _, from := range [][]int{{3, 2, 2, 1}, {6, 4, 4, 2}, {4, 3, 2, 1}, {3, 3, 2, 1}, {3, 3, 3}} {
		for _, version := range []int{2, 3} {
			var paths, together, largest figure
			for seed := range 3 {
				steps, path, atOnce := double(t, rebalance.Balanced{Version: version}, seed, from)
				paths.add(path, 1000)
				together.add(atOnce, 1000)
				largest.add(steps.worst, 1000)
			}
			t.Logf("%v, version %d: one by one %v, at once %v, largest step %v", from, version, paths, together, largest)
			require.LessOrEqual(t, paths.mean(), map[int]int{2: 1460, 3: 1280}[version], "%v, version %d", from, version)
			require.LessOrEqual(t, together.worst, 1030, "%v, version %d", from, version)
		}
	}
}

// Where zones differ by a member, versions 2 and 3 may differ in a few rows.
func TestVersionsOfNearlyEqualZones(t *testing.T) {
	for _, tc := range []struct {
		zones          []int
		replicas, most int // thousandths of the slots
	}{
		{[]int{4, 4, 4, 5}, 3, 20}, {[]int{4, 4, 5}, 2, 20}, {[]int{13, 13, 12, 13}, 2, 5}, {[]int{2, 2, 3}, 2, 80}, {[]int{1, 1, 2, 1, 2, 1}, 3, 100},
		{[]int{4, 4, 4, 4}, 3, 0}, {[]int{4, 4, 4}, 2, 0}, {[]int{4, 4, 5}, 3, 0},
	} {
		nodes := seeded(1, 1, tc.zones...)
		plan, err := rebalance.Diff(build(t, rebalance.Balanced{Version: 2}, 4096, tc.replicas, nodes), build(t, rebalance.Balanced{}, 4096, tc.replicas, nodes))
		require.NoError(t, err)
		require.Equal(t, tc.most > 0, len(plan.Moves) > 0, "%v", tc.zones)
		require.LessOrEqual(t, len(plan.Moves)*1000, tc.most*plan.Slots, "%v", tc.zones)
	}
}

// Versions 2 and 3 give the same table where limits do not contradict each other: with most zones that are
// nearly equal, with at most as many zones as owners, and within several regions.
func TestPacesAreForUnequalZones(t *testing.T) {
	for _, tc := range []struct {
		zones   []int
		regions int
	}{
		{[]int{1}, 1}, {[]int{100}, 1}, {[]int{10, 10, 10}, 1}, {[]int{5, 3, 2}, 1}, {[]int{20, 10}, 1}, {[]int{20, 11}, 1}, {[]int{8, 2}, 1},
		{[]int{16, 12, 8, 4}, 1}, {[]int{2, 2, 2, 2}, 1}, {[]int{2, 2, 2, 1}, 1}, {[]int{6, 6, 6, 6, 6}, 1}, {[]int{6, 6, 6, 6, 5}, 1}, {[]int{7, 6, 6, 6, 6}, 1},
		{[]int{10, 10, 10, 6}, 1}, {[]int{5, 5, 5, 5, 5, 5}, 2}, {[]int{8, 4, 8, 5}, 2},
	} {
		c := strategytest.Cluster{Nodes: seeded(3, tc.regions, tc.zones...), PartitionCount: 4096, ReplicationFactor: 3}
		require.Equal(t, ownersOf(t, rebalance.Balanced{Version: 2}, c), ownersOf(t, rebalance.Balanced{}, c), "%v", tc.zones)
	}
}

// With very unequal zones and weights the invariants hold, whatever the paces.
func TestPacedInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := rapid.SliceOfN(rapid.SampledFrom([]int{1, 1, 2, 3, 5, 8, 20}), 3, 8).Draw(t, "zones")
		nodes := seeded(rapid.IntRange(0, 1000).Draw(t, "seed"), 1, zones...)
		weights := rapid.SampledFrom([][]int{{1}, {1, 2}, {1, 1 << 20}, {7, 1 << 10}}).Draw(t, "weights")
		for i := range nodes {
			nodes[i].Weight = rapid.SampledFrom(weights).Draw(t, "weight")
		}
		c := strategytest.Cluster{Nodes: nodes, PartitionCount: rapid.SampledFrom([]int{1, 7, 64, 521}).Draw(t, "partitions"), ReplicationFactor: rapid.IntRange(1, 5).Draw(t, "owners")}
		s := rebalance.Balanced{Slack: rapid.SampledFrom([]int{0, -1, 20}).Draw(t, "slack")}
		check(t, s, c)
	})
}
