package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// byHand is a strategy with written tables: for each set of members the owners of each
// partition. The IDs of members are letters.
type byHand map[string]string

func (byHand) Name() string { return "by-hand/1" }

func (h byHand) Assign(t ring.Topology, table ring.Table) error {
	ids := ""
	for _, n := range t.Nodes {
		ids += n.ID
	}
	rows := strings.Fields(h[ids])
	if len(rows) != t.PartitionCount {
		return fmt.Errorf("members %s have %d rows", ids, len(rows))
	}
	for p, row := range rows {
		for i, id := range row {
			table.Row(p)[i] = uint16(strings.IndexRune(ids, id))
		}
	}
	return nil
}

// ring builds the ring of four partitions over some members: a is in zone x, the others
// are in y.
func (h byHand) ring(t *testing.T, replicas int, ids string) *ring.Ring {
	var nodes []ring.Node
	for _, id := range ids {
		zone := "y"
		if id == 'a' {
			zone = "x"
		}
		nodes = append(nodes, ring.Node{ID: string(id), Zone: zone})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 4, ReplicationFactor: replicas, Strategy: h}, nodes)
	require.NoError(t, err)
	return r
}

func TestBalanceAndSpread(t *testing.T) {
	var f figures
	f.addBalance(byHand{"abc": "ab bc ca ab"}.ring(t, 2, "abc"))
	require.InDelta(t, 3/(8./3), f.replicas.most, 1e-9)
	require.InDelta(t, 2/(4./3), f.primaries.most, 1e-9)
	require.InDelta(t, 3./4, f.spread.least, 1e-9)
}

func TestMovement(t *testing.T) {
	h := byHand{
		"abc":  "a b c a",
		"abcd": "d c c a", // d gets one slot, and one more slot moves
		"bc":   "b c c b", // the two slots of a, both to b, and one more
		"ac":   "a c a a", // the one slot of b, and one more
		"ab":   "a b a a", // the one slot of c
		"a":    "a a a a",
	}
	r := h.ring(t, 1, "abc")
	var f figures
	require.NoError(t, f.addJoins(r, []ring.Node{{ID: "d", Zone: "y"}}))
	require.Equal(t, stat{least: 2, most: 2, sum: 2, count: 1}, f.join)

	require.NoError(t, f.addLeaves(r, 3))
	require.Equal(t, stat{least: 1, most: 2, sum: 4.5, count: 3}, f.leave)
	require.Equal(t, stat{least: 1.5, most: 1.5, sum: 1.5, count: 1}, f.rolling)
	require.Equal(t, stat{count: 3}, f.peers, "partitions of one owner")

	require.NoError(t, f.addZoneLosses(r))
	require.Equal(t, stat{least: 1, most: 1.5, sum: 2.5, count: 2}, f.zoneLoss)
}

func TestPeersShareALoss(t *testing.T) {
	h := byHand{"abc": "ab bc ca ab", "bc": "bc bc bc bc"}
	var f figures
	require.NoError(t, f.addLeaves(h.ring(t, 2, "abc"), 1))
	require.InDelta(t, 2, f.peers.least, 0)
	require.InDelta(t, 2./3, f.peerShare.most, 1e-9, "b owns two of the three partitions of a")
}

func TestLeavesThatChangeSeveralOwners(t *testing.T) {
	h := byHand{"abcd": "ab cd ab ab", "bcd": "cd cd bc bd"}
	var f figures
	require.NoError(t, f.addLeaves(h.ring(t, 2, "abcd"), 1))
	require.InDelta(t, 1./3, f.several.most, 1e-9, "of the three partitions of a, one loses b too")
}

func TestNoZoneToLose(t *testing.T) {
	var f figures
	require.NoError(t, f.addZoneLosses(byHand{"bc": "b c b c"}.ring(t, 1, "bc")))
	require.Zero(t, f.zoneLoss.count)
}

func TestMaxOverMeanIsPerWeight(t *testing.T) {
	nodes := []ring.Node{{ID: "a", Weight: 2}, {ID: "b", Weight: 1}}
	require.InDelta(t, 3/(7./3), maxOverMean(map[string]int{"a": 4, "b": 3}, nodes), 1e-9)
	require.InDelta(t, 1, maxOverMean(map[string]int{"a": 6, "b": 3}, nodes), 1e-9)
}

func TestAtBest(t *testing.T) {
	for _, c := range []struct {
		zones, weights []int
		want           float64
	}{
		{zones: []int{10, 10, 10}, want: 1},
		{zones: []int{16, 12, 8, 4}, want: 10. / 9}, // the largest zone can own each partition only once
		{zones: []int{20, 10}, want: 1},
		{zones: []int{8, 2}, want: 5. / 3}, // the small zone owns every partition
		{zones: []int{2}, want: 1},         // fewer members than replicas
		{zones: []int{3}, weights: []int{1, 2, 4}, want: 7. / 3},
		{zones: []int{30}, weights: []int{1, 2, 4}, want: 1},
	} {
		l := layout{zones: c.zones, weights: c.weights, replicas: 3}
		require.InDelta(t, c.want, l.atBest(), 1e-6, "%v %v", c.zones, c.weights)
	}
}

func TestMembers(t *testing.T) {
	l := layout{zones: []int{3, 3, 3, 3}, regions: 2, weights: []int{1, 2, 4}}
	nodes, joiners := l.members(7)
	require.Len(t, nodes, 12)
	require.Len(t, joiners, 12, "one for each zone and weight")
	ids, regions := make(map[string]bool), make(map[string]int)
	for _, n := range append(nodes, joiners...) {
		ids[n.ID] = true
		regions[n.Region]++
	}
	require.Len(t, ids, 24)
	require.Equal(t, map[string]int{"region-0": 12, "region-1": 12}, regions)

	again, _ := l.members(7)
	require.Equal(t, nodes[:12], again, "a seed gives the same members")
	other, _ := l.members(8)
	require.NotEqual(t, nodes[:12], other)
}
