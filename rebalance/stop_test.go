package rebalance_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// TestStrategiesStop: from the moment when nobody needs the table, a strategy returns an
// error after few further questions. Questions that are answered no change no table.
func TestStrategiesStop(t *testing.T) {
	nodes := slices.Concat(uniform(40, 3), []ring.Node{{ID: "heavy", Zone: "z9", Weight: 50}}) // a zone of one member makes the race of Balanced hard
	for i := range nodes {
		nodes[i].Weight = max(1, nodes[i].Weight)
	}
	slices.SortFunc(nodes, func(a, b ring.Node) int { return strings.Compare(a.ID, b.ID) })
	for _, s := range []ring.RebalanceStrategy{
		rebalance.Balanced{}, rebalance.Rendezvous{}, rebalance.Rendezvous{Version: 1},
		rebalance.ConsistentHash{}, rebalance.ConsistentHash{Version: 1}, rebalance.Ordinal{Prefix: "orders-", Zones: 3},
	} {
		topology := ring.Topology{Nodes: nodes, PartitionCount: 4096, Replicas: 3}
		if _, ordinal := s.(rebalance.Ordinal); ordinal {
			topology.Nodes = numbered(40, 3)
			slices.SortFunc(topology.Nodes, func(a, b ring.Node) int { return strings.Compare(a.ID, b.ID) })
		}
		plain, asking := ring.NewTable(topology), ring.NewTable(topology)
		require.NoError(t, s.Assign(topology, plain))
		questions := 0
		topology.Stop = func() bool { questions++; return false }
		require.NoError(t, s.Assign(topology, asking))
		require.Equal(t, plain, asking, s.Name())
		require.Greater(t, questions, 8, s.Name())
		total := questions

		for _, after := range []int{0, 1, total / 2, total - 1} {
			questions = 0
			topology.Stop = func() bool { questions++; return questions > after }
			require.Error(t, s.Assign(topology, asking), "%s after %d of %d questions", s.Name(), after, total)
			require.Less(t, questions-after, 8, "%s after %d of %d questions", s.Name(), after, total)
		}
	}
}

// TestDeriveStops: a table that is derived is given up too.
func TestDeriveStops(t *testing.T) {
	from := ring.Topology{Nodes: uniform(30, 3), PartitionCount: 4096, Replicas: 3}
	table := ring.NewTable(from)
	s := rebalance.Rendezvous{}
	require.NoError(t, s.Assign(from, table))
	joined := slices.Clone(from.Nodes)
	for _, id := range []string{"zz1", "zz2"} {
		n := from.Nodes[0]
		n.ID = id
		joined = append(joined, n)
	}
	for name, nodes := range map[string][]ring.Node{"joins": joined, "leaves": from.Nodes[1:]} {
		to := ring.Topology{Nodes: nodes, PartitionCount: 4096, Replicas: 3}
		derived := ring.NewTable(from)
		copy(derived.Slots(), table.Slots())
		rebalance.Renumber(from, to, derived)
		require.True(t, s.Derive(from, to, derived), name)
		to.Stop = func() bool { return true }
		copy(derived.Slots(), table.Slots())
		rebalance.Renumber(from, to, derived)
		require.False(t, s.Derive(from, to, derived), name)
	}
	require.False(t, ring.Topology{}.Stopped())
}
