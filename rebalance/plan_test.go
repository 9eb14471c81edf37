package rebalance_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := generated(0, 12).Draw(t, "from")
		to := generated(0, 12).Draw(t, "to")
		to.PartitionCount = from.PartitionCount
		// Some nodes are in both rings, possibly in another zone.
		for _, n := range from.Nodes {
			if rapid.Bool().Draw(t, "stays") && !slices.ContainsFunc(to.Nodes, func(o ring.Node) bool { return o.ID == n.ID }) {
				to.Nodes = append(to.Nodes, n)
			}
		}
		s := rapid.SampledFrom(strategies).Draw(t, "strategy")
		a, err := from.Build(s)
		require.NoError(t, err)
		b, err := to.Build(s)
		require.NoError(t, err)
		plan, err := rebalance.Diff(a, b)
		require.NoError(t, err)

		requireMovesLead(t, plan, a, b)
		requireCounts(t, plan, a, b)
		requireNearestPairs(t, plan, a, b)

		back, err := rebalance.Diff(b, a)
		require.NoError(t, err)
		require.Equal(t, plan.PrimaryChanges, back.PrimaryChanges)
		require.Equal(t, sorted(plan.Moves), sorted(swapped(back.Moves)), "the way back is the way there")

		for _, r := range []*ring.Ring{a, b} {
			same, err := rebalance.Diff(r, r)
			require.NoError(t, err)
			require.True(t, same.Empty())
			require.Empty(t, same.Moves)
			require.Empty(t, same.Members)
		}
	})
}

// requireMovesLead applies the moves to the owners of one ring and expects those of
// the other.
func requireMovesLead(t *rapid.T, plan rebalance.Plan, from, to *ring.Ring) {
	set := func(p ring.Placement) map[string]bool {
		ids := make(map[string]bool)
		for _, n := range p.All() {
			ids[n.ID()] = true
		}
		return ids
	}
	owners := make([]map[string]bool, plan.Partitions)
	for p := range owners {
		owners[p] = set(from.Placement(p))
	}
	require.True(t, slices.IsSortedFunc(plan.Moves, func(a, b rebalance.Move) int { return a.Partition - b.Partition }))
	for _, m := range plan.Moves {
		if m.From != "" {
			require.True(t, owners[m.Partition][m.From], "%+v: gives up what it has", m)
			delete(owners[m.Partition], m.From)
		}
		if m.To != "" {
			require.False(t, owners[m.Partition][m.To], "%+v: takes what it has not", m)
			owners[m.Partition][m.To] = true
		}
		require.True(t, m.From != "" || m.To != "")
	}
	for p := range owners {
		require.Equal(t, set(to.Placement(p)), owners[p], "partition %d", p)
	}
}

func requireCounts(t *rapid.T, plan rebalance.Plan, from, to *ring.Ring) {
	require.Equal(t, from.PartitionCount(), plan.Partitions)
	require.Equal(t, plan.Partitions*max(from.Replicas(), to.Replicas()), plan.Slots)
	require.LessOrEqual(t, len(plan.Moves), plan.Slots)
	want := make(map[string]rebalance.NodeChange)
	primaries := 0
	for p := range plan.Partitions {
		was, _ := from.Placement(p).Primary()
		is, _ := to.Placement(p).Primary()
		if was.ID() != is.ID() {
			primaries++
		}
		for _, n := range from.Placement(p).All() {
			if !to.Placement(p).Owns(n.ID()) {
				want[n.ID()] = rebalance.NodeChange{ID: n.ID(), Gained: want[n.ID()].Gained, Lost: want[n.ID()].Lost + 1}
			}
		}
		for _, n := range to.Placement(p).All() {
			if !from.Placement(p).Owns(n.ID()) {
				want[n.ID()] = rebalance.NodeChange{ID: n.ID(), Gained: want[n.ID()].Gained + 1, Lost: want[n.ID()].Lost}
			}
		}
	}
	require.Equal(t, primaries, plan.PrimaryChanges)
	sortedWant := slices.SortedFunc(maps.Values(want), func(a, b rebalance.NodeChange) int { return cmp.Compare(a.ID, b.ID) })
	require.Equal(t, append([]rebalance.NodeChange{}, sortedWant...), plan.Members)
}

// requireNearestPairs expects that no two moves of a partition would be nearer with
// swapped sources.
func requireNearestPairs(t *rapid.T, plan rebalance.Plan, from, to *ring.Ring) {
	distance := func(m rebalance.Move) int {
		a, _ := from.Node(m.From)
		b, _ := to.Node(m.To)
		switch {
		case m.From == "" || m.To == "" || a.Region != b.Region:
			return 2
		case a.Zone != b.Zone:
			return 1
		default:
			return 0
		}
	}
	for i, a := range plan.Moves {
		for _, b := range plan.Moves[i+1:] {
			if a.Partition != b.Partition {
				break
			}
			c := rebalance.Move{Partition: a.Partition, From: a.From, To: b.To}
			d := rebalance.Move{Partition: a.Partition, From: b.From, To: a.To}
			require.LessOrEqual(t, min(distance(a), distance(b)), min(distance(c), distance(d)), "%+v and %+v", a, b)
		}
	}
}

func swapped(moves []rebalance.Move) []rebalance.Move {
	moves = slices.Clone(moves)
	for i := range moves {
		moves[i].From, moves[i].To = moves[i].To, moves[i].From
	}
	return moves
}

func sorted(moves []rebalance.Move) []rebalance.Move {
	moves = slices.Clone(moves)
	slices.SortFunc(moves, func(a, b rebalance.Move) int {
		return cmp.Or(a.Partition-b.Partition, cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return moves
}

func TestDiffOfEmptyRings(t *testing.T) {
	full := build(t, rebalance.Rendezvous{}, 8, 2, uniform(1, 3))
	noNodes := build(t, rebalance.Rendezvous{}, 8, 2, nil)
	otherCount := build(t, rebalance.Rendezvous{}, 9, 2, nil)
	for _, none := range []*ring.Ring{nil, {}, noNodes} {
		plan, err := rebalance.Diff(none, full)
		require.NoError(t, err)
		require.Len(t, plan.Moves, 16)
		require.Equal(t, 16, plan.Slots)
		require.Equal(t, 8, plan.PrimaryChanges)
		for _, m := range plan.Moves {
			require.Empty(t, m.From)
		}
		plan, err = rebalance.Diff(full, none)
		require.NoError(t, err)
		require.Len(t, plan.Moves, 16)
		for _, m := range plan.Moves {
			require.Empty(t, m.To)
		}
		plan, err = rebalance.Diff(none, nil)
		require.NoError(t, err)
		require.True(t, plan.Empty())
	}
	_, err := rebalance.Diff(full, otherCount)
	require.EqualError(t, err, "rebalance: comparing rings of 8 and 9 partitions: a cluster's partition count is fixed")
	_, err = rebalance.Diff(otherCount, full)
	require.EqualError(t, err, "rebalance: comparing rings of 9 and 8 partitions: a cluster's partition count is fixed")
	_, err = rebalance.Diff(noNodes, otherCount)
	require.Error(t, err)
}

// A primary may change while the owners stay; then nothing moves, but the plan is
// not empty.
func TestPlanOfPrimariesAlone(t *testing.T) {
	nodes := uniform(1, 2)
	from := build(t, rebalance.Rendezvous{}, 64, 2, nodes)
	to := build(t, rebalance.RoundRobin{}, 64, 2, nodes)
	plan, err := rebalance.Diff(from, to)
	require.NoError(t, err)
	require.Empty(t, plan.Moves)
	require.NotZero(t, plan.PrimaryChanges)
	require.False(t, plan.Empty())
}

func TestPlanIgnoresTargets(t *testing.T) {
	a := build(t, rebalance.Rendezvous{}, 64, 2, uniform(1, 3))
	b := build(t, rebalance.Rendezvous{}, 64, 2, uniform(1, 4))
	paired, err := a.Toward(b)
	require.NoError(t, err)
	plan, err := rebalance.Diff(a, paired)
	require.NoError(t, err)
	require.True(t, plan.Empty())
}

// The names in JSON must not change: programs in other languages read them.
func TestPlanAsJSON(t *testing.T) {
	from := build(t, rebalance.RoundRobin{}, 2, 1, []ring.Node{{ID: "a"}, {ID: "b"}})
	_, plan, err := rebalance.WhatIf(from, rebalance.Change{Add: []ring.Node{{ID: "c"}}, Remove: []string{"b"}})
	require.NoError(t, err)
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"partitions": 2, "slots": 2, "primaryChanges": 1,
		"moves": [{"partition": 1, "from": "b", "to": "c"}],
		"members": [{"id": "b", "gained": 0, "lost": 1}, {"id": "c", "gained": 1, "lost": 0}]
	}`, string(text))
	plan, err = rebalance.Diff(from, from)
	require.NoError(t, err)
	text, err = json.Marshal(plan)
	require.NoError(t, err)
	require.JSONEq(t, `{"partitions": 2, "slots": 2, "primaryChanges": 0, "moves": [], "members": []}`, string(text))
}
