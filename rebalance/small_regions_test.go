package rebalance_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
)

// inRegions returns the members of regions, for each the sizes of its zones.
func inRegions(seed int, regions ...[]int) (nodes []ring.Node) {
	for r, zones := range regions {
		for _, n := range seeded(seed, 1, zones...) {
			n.ID, n.Region = fmt.Sprint(n.ID, "-", r), fmt.Sprint("region-", r)
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// anyRegions returns two to four regions, of up to three zones of up to ten members.
func anyRegions(seed int) (regions [][]int) {
	draw := rand.New(rand.NewPCG(uint64(seed), 7))
	for range 2 + draw.IntN(3) {
		largest, zones := 1+draw.IntN(10), make([]int, 1+draw.IntN(3))
		for z := range zones {
			zones[z] = max(1, largest-draw.IntN(3))
		}
		regions = append(regions, zones)
	}
	return regions
}

func loadOf(r *ring.Ring) float64 {
	owned, _ := slots(r)
	return float64(most(owned)*r.Len()) / float64(r.PartitionCount()*r.Replicas())
}

// The first member of a second region, beside 24 members of the first one, would own every partition,
// 12.5 times its fair share. Over generated regions the fullest member carries about twice its fair share; where rows can
// choose between zones, up to 2.4 times with Rendezvous, and 2.6 times with ConsistentHash. Rows span fewer zones or
// regions only where Yields says so.
func TestSmallRegionsCarryTwiceTheirShare(t *testing.T) {
	type strategy interface {
		ring.RebalanceStrategy
		Yields(ring.Topology) error
	}
	for _, tc := range []struct {
		newest, before strategy
		first, any     float64
	}{
		{rebalance.Rendezvous{}, rebalance.Rendezvous{Version: 3}, 1.76, 2.4},
		{rebalance.ConsistentHash{}, rebalance.ConsistentHash{Version: 3}, 1.68, 2.6},
	} {
		first := inRegions(1, []int{1}, []int{9, 7, 8})
		require.InDelta(t, 12.5, loadOf(build(t, tc.before, 2048, 2, first)), 0.01)
		r := build(t, tc.newest, 2048, 2, first)
		require.LessOrEqual(t, loadOf(r), tc.first, tc.newest.Name())
		require.ErrorContains(t, tc.newest.Yields(topologyOf(r)), `region "region-0"`)
		require.NotZero(t, r.Spread().RegionViolations)

		worst, worse, better := 0.0, 0, 0
		for seed := range 150 {
			regions := anyRegions(seed)
			nodes := inRegions(seed, regions...)
			replicas := 2 + seed%4
			if len(nodes) < 2*replicas {
				continue
			}
			r, before := build(t, tc.newest, 1024, replicas, nodes), build(t, tc.before, 1024, replicas, nodes)
			now, was := loadOf(r), loadOf(before)
			worst = max(worst, now)
			switch {
			case now > was+0.1:
				worse++
			case now < was-0.1:
				better++
			}
			require.LessOrEqual(t, now, tc.any, "%s: %v, %d owners, seed %d", tc.newest.Name(), regions, replicas, seed)
			violations := r.Spread().ZoneViolations + r.Spread().RegionViolations
			if violations > 0 {
				require.Error(t, tc.newest.Yields(topologyOf(r)), "%s: %v, %d owners, seed %d", tc.newest.Name(), regions, replicas, seed)
			}
		}
		t.Logf("%s: fullest %.2f; against version 3 better in %d layouts, worse in %d", tc.newest.Name(), worst, better, worse)
		require.Greater(t, better, 10*worse)
	}
}

// In one region, and where no region is small, versions 3 and 4 give the same table.
func TestVersionsDifferInSmallRegionsAlone(t *testing.T) {
	for _, regions := range [][][]int{{{10, 10, 10}}, {{20, 20, 1}}, {{16, 12, 8, 4}}, {{5, 5, 5}, {5, 5, 5}}, {{8, 8}, {4, 4}}, {{6}, {6}, {6}}, {{4, 4}, {4, 4}, {4, 4}}} {
		c := strategytest.Cluster{Nodes: inRegions(1, regions...), PartitionCount: 512, ReplicationFactor: 3}
		require.Equal(t, ownersOf(t, rebalance.Rendezvous{Version: 3}, c), ownersOf(t, rebalance.Rendezvous{}, c), "%v", regions)
		require.Equal(t, ownersOf(t, rebalance.ConsistentHash{Version: 3}, c), ownersOf(t, rebalance.ConsistentHash{}, c), "%v", regions)
	}
}

// A region grows member by member beside two others, until no row leaves it out.
func TestASmallRegionGrows(t *testing.T) {
	for _, s := range []ring.RebalanceStrategy{rebalance.Rendezvous{}, rebalance.ConsistentHash{}} {
		var grow figure
		violations := 4096
		for n := 1; n <= 14; n++ {
			all := inRegions(2, []int{5, 5, 5}, []int{5, 5, 5}, []int{n})
			r := build(t, s, 4096, 3, all)
			newest := all[len(all)-1].ID
			owned, _ := slots(r)
			grow.add(moves(t, r, rebalance.Change{Remove: []string{newest}}), owned[newest])
			require.LessOrEqual(t, loadOf(r), 2.05, "%s, %d members", s.Name(), n)
			require.LessOrEqual(t, r.Spread().RegionViolations, violations, "%s, %d members", s.Name(), n)
			violations = r.Spread().RegionViolations
		}
		require.Zero(t, violations, s.Name())
		t.Log(s.Name(), "moves over what the new member has:", grow)
		hold(t, s.Name(), grow, bound{1600, 2600})
	}
}
