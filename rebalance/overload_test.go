package rebalance_test

import (
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
	owners := func(s rebalance.Balanced, c strategytest.Cluster) (rows []string) {
		for _, p := range build(t, s, c.PartitionCount, c.ReplicationFactor, c.Nodes).All() {
			for _, n := range p.All() {
				rows = append(rows, n.ID())
			}
		}
		return rows
	}
	rapid.Check(t, func(t *rapid.T) {
		c := generated(1, 24).Draw(t, "cluster")
		require.Equal(t, owners(rebalance.Balanced{Version: 1}, c), owners(rebalance.Balanced{Overload: option.None}, c))
	})
	for _, zones := range [][]int{{1}, {2, 1}, {30}, {10, 10, 10}, {16, 12, 8, 4}, {5, 3, 2}, {20, 10}, {8, 2}, {2, 2, 2, 2}} {
		c := strategytest.Cluster{Nodes: seeded(1, 1+len(zones)/2, zones...), PartitionCount: 512, ReplicationFactor: 3}
		require.Equal(t, owners(rebalance.Balanced{Version: 1}, c), owners(rebalance.Balanced{}, c), "%v", zones)
	}
}
