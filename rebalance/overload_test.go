package rebalance_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

func topologyOf(r *ring.Ring) ring.Topology {
	return ring.Topology{Nodes: r.Nodes(), PartitionCount: r.PartitionCount(), Replicas: r.Replicas()}
}

// requireUnloaded checks that no member carries more than a number of thousandths of the mean, up
// to one slot, and that zones give way only where Yields says so.
func requireUnloaded(t *testing.T, r *ring.Ring, most int) {
	t.Helper()
	owned, _ := slots(r)
	mean := r.PartitionCount() * r.Replicas() * most / 1000 / r.Len()
	for id, n := range owned {
		require.LessOrEqual(t, n, max(mean, mean*1000/most+1), id)
	}
	if (rebalance.Balanced{Overload: most}).Yields(topologyOf(r)) == nil {
		require.Zero(t, r.Spread().ZoneViolations+r.Spread().RegionViolations)
	} else {
		require.NotZero(t, r.Spread().ZoneViolations+r.Spread().RegionViolations)
	}
}

// A zone grows member by member beside two zones of twenty, and shrinks again: no member carries
// more than twice its fair share, and movement stays near the minimum. The minimum is
// what the new member gains.
func TestBalancedYieldsBeforeItOverloads(t *testing.T) {
	var grow figure
	for seed := range 3 {
		two := seeded(seed, 1, 20, 20)
		before := build(t, rebalance.Balanced{}, 4096, 3, two)
		require.NoError(t, rebalance.Balanced{}.Yields(topologyOf(before)))
		violations := 4096
		for n := 1; n <= 10; n++ {
			all := seeded(seed, 1, 20, 20, n)
			r := build(t, rebalance.Balanced{}, 4096, 3, all)
			requireUnloaded(t, r, 2000)
			newest := all[len(all)-1].ID
			owned, _ := slots(r)
			grow.add(moves(t, r, rebalance.Change{Remove: []string{newest}}), owned[newest])
			require.LessOrEqual(t, r.Spread().ZoneViolations, violations, "%d members", n)
			violations = r.Spread().ZoneViolations
		}
		require.Zero(t, violations, "ten members of a third zone carry a slot of every row")
	}
	t.Log("moves over what the new member has:", grow)
	hold(t, "growing zone", grow, bound{1250, 1700})
	requireUnloaded(t, build(t, rebalance.Balanced{}, 4096, 3, seeded(1, 1, 10, 10, 1)), 2000)
	require.EqualError(t, rebalance.Balanced{}.Yields(topologyOf(build(t, rebalance.Balanced{}, 64, 3, seeded(1, 2, 20, 1, 20)))),
		`members would carry more than 2000 thousandths of their fair share in region "1", zone "1" of region "1": add members there, or raise Overload`)
}

// Without a bound of Overload both versions give the same table. With the bound they do where no
// member would reach it.
func TestBalancedVersions(t *testing.T) {
	owners := func(s rebalance.Balanced, c strategytest.Cluster) []string { return ownersOf(t, s, c) }
	rapid.Check(t, func(t *rapid.T) {
		c := generated(1, 24).Draw(t, "cluster")
		require.Equal(t, owners(rebalance.Balanced{Version: 1}, c), owners(rebalance.Balanced{Overload: option.None}, c))
	})
	for _, zones := range [][]int{{1}, {2, 1}, {30}, {10, 10, 10}, {16, 12, 8, 4}, {5, 3, 2}, {20, 10}, {8, 2}, {2, 2, 2, 2}} {
		c := strategytest.Cluster{Nodes: seeded(1, 1+len(zones)/2, zones...), PartitionCount: 512, ReplicationFactor: 3}
		require.Equal(t, owners(rebalance.Balanced{Version: 1}, c), owners(rebalance.Balanced{}, c), "%v", zones)
	}
}

// With Rendezvous and ConsistentHash no member carries more than twice its fair share for the sake of
// zones either. The members of one zone differ by chance, by up to a sixth. Where no zone is too
// small, the newest version gives the tables of the version before it.
func TestSmallZonesCarryTwiceTheirShare(t *testing.T) {
	type strategy interface {
		ring.RebalanceStrategy
		Yields(ring.Topology) error
	}
	for _, tc := range []struct {
		newest strategy
		before ring.RebalanceStrategy
		alike  [][]int
	}{
		{rebalance.Rendezvous{}, rebalance.Rendezvous{Version: 2}, [][]int{{1}, {30}, {2, 2, 1}, {10, 10, 10}, {16, 12, 8, 4}, {6, 6, 6, 6, 6}, {20, 10}, {10, 10, 10, 1}}},
		{rebalance.ConsistentHash{}, rebalance.ConsistentHash{Version: 2}, [][]int{{1}, {30}, {2, 2, 1}, {10, 10, 10}, {6, 6, 6, 6, 6}, {20, 10}}},
	} {
		for _, zones := range tc.alike {
			c := strategytest.Cluster{Nodes: seeded(1, 1, zones...), PartitionCount: 512, ReplicationFactor: 3}
			require.Equal(t, ownersOf(t, tc.before, c), ownersOf(t, tc.newest, c), "%s: %v", tc.newest.Name(), zones)
		}
		for _, zones := range [][]int{{20, 20, 1}, {20, 20, 4}, {20, 20, 8}, {10, 10, 1}, {20, 1}, {20, 2, 2, 2}, {16, 12, 8, 4}, {30, 30, 30, 3}, {10, 10, 10, 1}} {
			most, single := 0.0, 0.0
			for seed := range 3 {
				r := build(t, tc.newest, 4096, 3, seeded(seed, 1, zones...))
				owned, _ := slots(r)
				for _, n := range r.Nodes() {
					over := float64(owned[n.ID]*r.Len()) / (3 * 4096)
					most = max(most, over)
					if zones[len(zones)-1] == 1 {
						single = max(single, over)
					}
				}
				require.Equal(t, tc.newest.Yields(topologyOf(r)) != nil, r.Spread().ZoneViolations > 0, "%s: %v", tc.newest.Name(), zones)
			}
			require.LessOrEqual(t, most, 2.05, "%s: %v", tc.newest.Name(), zones)
			require.LessOrEqual(t, single, 2.0, "%s: %v: a member alone in its zone", tc.newest.Name(), zones)
		}
	}
	require.EqualError(t, rebalance.Rendezvous{}.Yields(topologyOf(build(t, rebalance.Rendezvous{}, 64, 3, seeded(1, 1, 20, 1, 20)))),
		`members would carry more than 2000 thousandths of their fair share in zone "1" of region "0": add members there`)
}

// The bound of Balanced holds for regions and for zones from which rows can choose. Rendezvous and
// ConsistentHash bound zones and regions that must be in every row.
func TestBoundsOfRegionsAndOfZonesToChoose(t *testing.T) {
	for _, tc := range []struct {
		name             string
		nodes            func(seed int) []ring.Node
		replicas         int
		balanced, others [2]int // the bounds of the fullest member over its fair share, in thousandths
	}{
		{"regions of 15, 15 and 3", func(seed int) []ring.Node { return inRegions(seed, []int{5, 5, 5}, []int{5, 5, 5}, []int{1, 1, 1}) }, 3, [2]int{1900, 2010}, [2]int{1700, 2050}},
		{"seven zones, six owners", func(seed int) []ring.Node { return seeded(seed, 1, 10, 8, 1, 12, 4, 9, 5) }, 6, [2]int{1500, 2010}, [2]int{1900, 2700}},
	} {
		for seed := range 3 {
			nodes := tc.nodes(seed)
			for i, s := range []ring.RebalanceStrategy{rebalance.Balanced{}, rebalance.Rendezvous{}, rebalance.ConsistentHash{}} {
				owned, _ := slots(build(t, s, 4096, tc.replicas, nodes))
				over := most(owned) * len(nodes) * 1000 / (4096 * tc.replicas)
				t.Log(tc.name, s.Name(), over)
				bounds := [][2]int{tc.balanced, tc.others, tc.others}[i]
				require.GreaterOrEqual(t, over, bounds[0], "%s: %s", tc.name, s.Name())
				require.LessOrEqual(t, over, bounds[1], "%s: %s", tc.name, s.Name())
			}
		}
	}
}

// A region whose members are too few for their part of every row is named too when it has the same
// number of owners in each of them.
func TestARegionWithFewerOwnersInEveryRow(t *testing.T) {
	var nodes []ring.Node
	for i, at := range []struct {
		region, zone string
		weight       int
	}{{"eu", "a", 1}, {"eu", "b", 2}, {"us", "b", 2}, {"us", "c", 2}, {"eu", "c", 2}, {"eu", "a", 1}, {"us", "a", 1}, {"", "a", 1}, {"", "b", 1}} {
		nodes = append(nodes, ring.Node{ID: strconv.Itoa(i), Region: at.region, Zone: at.zone, Weight: at.weight})
	}
	s := rebalance.Balanced{Slack: 50}
	r := build(t, s, 2, 6, nodes)
	for p, placement := range r.All() {
		here := 0
		for _, o := range placement.All() {
			if o.Region() == "" {
				here++
			}
		}
		require.Equal(t, 1, here, "2 of 8 zones, in partition %d", p)
	}
	require.ErrorContains(t, s.Yields(topologyOf(r)), `region ""`)
}
