package rebalance

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
)

func TestLogTable(t *testing.T) {
	table := newLogTable()
	for i, got := range table {
		want := math.Log2(1 + float64(i)/256)
		require.InDelta(t, want, float64(got)/(1<<57), 1e-15, i)
	}
}

func TestLot(t *testing.T) {
	table := newLogTable()
	require.Equal(t, uint64(1)<<63, table.lot(0))
	require.Equal(t, uint64(1)<<63, table.lot(1))
	require.Equal(t, uint64(1)<<57, table.lot(1<<63))
	require.GreaterOrEqual(t, table.lot(math.MaxUint64), uint64(1))
	rapid.Check(t, func(t *rapid.T) {
		// The hashes near the top, which win, are as frequent as others.
		hash := rapid.OneOf(rapid.Uint64(), rapid.Map(rapid.Uint64(), func(v uint64) uint64 { return ^(v >> (v & 31)) })).Draw(t, "hash")
		want := -math.Log1p(-float64(^hash)/(1<<64)) / math.Ln2
		if hash < 1<<63 {
			want = 64 - math.Log2(float64(hash|1))
		}
		require.InDelta(t, want, float64(table.lot(hash))/(1<<57), want*0.0011+0x1p-56)
		next := hash + rapid.Uint64Range(0, math.MaxUint64-hash).Draw(t, "step")
		require.GreaterOrEqual(t, table.lot(hash), table.lot(next), "a lot never rises with the hash")
	})
}

func TestTooTightLoadIsAnError(t *testing.T) {
	topology := ring.Topology{Nodes: []ring.Node{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}}, PartitionCount: 100, Replicas: 2}
	_, err := ConsistentHash{Load: 500, VirtualNodes: 3}.ringOwners(topology, []uint16{0, 1})
	require.EqualError(t, err, "rebalance: consistent hash of 100 partitions over 2 nodes: not enough room to distribute partitions")
}

// Products of the largest clusters do not fit 32 bits, and are the same where an int has no more.
func TestProductsOfLargeClusters(t *testing.T) {
	require.Equal(t, uint64(1431656), ConsistentHash{Load: 8192}.primaryLimit(1<<19, 3))
	c := column{depth: 1, seats: make([]int32, 1<<17)}
	for i := range 1 << 16 {
		c.seats[i] = open
	}
	require.Nil(t, newBackups(&c, 64), "2^33 pairs of seats")
}

// The owners are optimal: of all sets that spread over zones and regions as required,
// theirs has the lowest costs, compared in ascending order.
func TestCompleteFindsTheBestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "nodes")
		topology := ring.Topology{PartitionCount: 8, Replicas: rapid.IntRange(1, n).Draw(t, "replicas")}
		for i := range n {
			topology.Nodes = append(topology.Nodes, ring.Node{
				ID:     fmt.Sprintf("n%d-%d", i, rapid.IntRange(0, 1000).Draw(t, "id")),
				Region: rapid.SampledFrom([]string{"eu", "us"}).Draw(t, "region"),
				Zone:   rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone"),
				Weight: rapid.IntRange(1, 3).Draw(t, "weight"),
			})
		}
		table := ring.NewTable(topology)
		s := Rendezvous{Version: 2}
		if rapid.Bool().Draw(t, "newest") && (Rendezvous{}).Yields(topology) == nil {
			s.Version = 3
		}
		require.NoError(t, s.Assign(topology, table))
		score := newScorer(topology, 2)
		for p := range topology.PartitionCount {
			costs := func(row []uint16) (list []uint64) {
				for _, n := range row {
					list = append(list, score.cost(newPartition(p), n))
				}
				return list
			}
			row := table.Row(p)
			all := make([]uint16, n)
			for i := range all {
				all[i] = uint16(i)
			}
			require.Equal(t, slices.Min(costs(all)), costs(row)[0], "the primary is the best of all")
			best := bestSet(topology, costs)
			require.ElementsMatch(t, best, row)
		}
	})
}

// A zone of many nodes gets the same lists when its nodes are compared for each row.
func TestWalkFindsTheCheapest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topology := ring.Topology{PartitionCount: rapid.IntRange(1, 300).Draw(t, "partitions"), Replicas: rapid.IntRange(1, 5).Draw(t, "replicas")}
		zones := rapid.IntRange(1, 3).Draw(t, "zones")
		for i := range rapid.IntRange(fewNodes, 80).Draw(t, "nodes") {
			topology.Nodes = append(topology.Nodes, ring.Node{ID: fmt.Sprintf("n%02d", i), Zone: fmt.Sprint(i % zones), Weight: 7})
		}
		table := ring.NewTable(topology)
		require.NoError(t, Rendezvous{}.Assign(topology, table))
		l := newLayout(topology.Nodes)
		compared := newFiller(l, newScorer(topology, 2), l.depth(topology.Replicas, quotas{}), quotas{})
		for p := range topology.PartitionCount {
			row := make([]uint16, topology.Replicas)
			compared.fill(row, 0, newPartition(p))
			require.Equal(t, row, table.Row(p), "partition %d", p)
		}
	})
}

// With many zones of many nodes the lists would be too large.
func TestWalkLeavesManyZones(t *testing.T) {
	topology := ring.Topology{PartitionCount: 10, Replicas: 1}
	for i := range 65 * fewNodes {
		topology.Nodes = append(topology.Nodes, ring.Node{ID: fmt.Sprintf("n%04d", i), Zone: fmt.Sprint(i % 65), Weight: 1})
	}
	f := newFiller(newLayout(topology.Nodes), newScorer(topology, 2), 1, quotas{})
	f.walk(topology.Stopped)
	for _, lists := range f.walked {
		require.Nil(t, lists)
	}
}

func TestRankIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, d := newPermutation(rapid.String().Draw(t, "id")), newDomain(rapid.IntRange(1, ring.MaxPartitionCount).Draw(t, "partitions"))
		rank := rapid.Uint64Range(0, d.partitions-1).Draw(t, "rank")
		require.Equal(t, rank, p.rank(p.at(rank, &d), &d))
	})
}

// bestSet tries all sets of nodes.
func bestSet(t ring.Topology, costs func([]uint16) []uint64) (best []uint16) {
	var bestCosts []uint64
	for set := range 1 << len(t.Nodes) {
		var row []uint16
		for i := range t.Nodes {
			if set>>i&1 == 1 {
				row = append(row, uint16(i))
			}
		}
		if len(row) != t.Replicas || !balanced(t.Nodes, row) {
			continue
		}
		c := costs(row)
		slices.Sort(c)
		if best == nil || slices.Compare(c, bestCosts) < 0 {
			best, bestCosts = row, c
		}
	}
	return best
}

// balanced reports whether no owner could move from one zone to another that has fewer
// owners, nor from one region to another.
func balanced(nodes []ring.Node, row []uint16) bool {
	type place struct{ region, zone string }
	size, zone, region := map[place]int{}, map[place]int{}, map[string]int{}
	for _, n := range nodes {
		size[place{n.Region, n.Zone}]++
	}
	for _, n := range row {
		zone[place{nodes[n].Region, nodes[n].Zone}]++
		region[nodes[n].Region]++
	}
	for a := range size {
		for b := range size {
			full := zone[b] == size[b]
			if !full && (zone[a] > zone[b]+1 || zone[a] == zone[b]+1 && region[a.region] > region[b.region]+1) {
				return false
			}
		}
	}
	return true
}
