package strategytest_test

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

func TestBuiltInStrategiesPass(t *testing.T) {
	for _, s := range []ring.RebalanceStrategy{
		rebalance.Balanced{}, rebalance.Balanced{Slack: option.None}, rebalance.Rendezvous{}, rebalance.ConsistentHash{}, rebalance.RoundRobin{},
	} {
		require.NoError(t, strategytest.Check(s, strategytest.Options{Seed: 7}), s.Name())
	}
}

// broken is a strategy whose Assign is a given function.
type broken func(ring.Topology, ring.Table)

func (broken) Name() string { return "broken" }

func (b broken) Assign(t ring.Topology, table ring.Table) error {
	if err := (rebalance.RoundRobin{}).Assign(t, table); err != nil {
		return err
	}
	b(t, table)
	return nil
}

// firstNodes puts every partition on the first nodes there are.
func firstNodes(table ring.Table, partitions int) {
	for p := range partitions {
		for i := range table.Row(p) {
			table.Row(p)[i] = uint16(i)
		}
	}
}

func TestEachPropertyFindsAFaultyStrategy(t *testing.T) {
	var calls atomic.Int64
	turned := func(table ring.Table, by int, t ring.Topology) {
		row := table.Row(0)
		for i := range row {
			row[i] = uint16((int(row[i]) + by) % len(t.Nodes))
		}
	}
	for name, tc := range map[string]struct {
		strategy broken
		options  strategytest.Options
		says     string
	}{
		"chance": {
			func(t ring.Topology, table ring.Table) { turned(table, rand.IntN(len(t.Nodes)), t) },
			strategytest.Options{}, "",
		},
		"memory": {
			func(t ring.Topology, table ring.Table) { turned(table, int(calls.Add(1)), t) },
			strategytest.Options{}, "the same nodes give",
		},
		"zones": {
			func(t ring.Topology, table ring.Table) { firstNodes(table, t.PartitionCount) },
			strategytest.Options{}, "owners in",
		},
	} {
		err := strategytest.Check(tc.strategy, tc.options)
		require.ErrorContains(t, err, "strategytest: broken: seed 0, cluster ", name)
		require.ErrorContains(t, err, tc.says, name)
	}
	ignorant := broken(func(t ring.Topology, table ring.Table) { firstNodes(table, t.PartitionCount) })
	require.NoError(t, strategytest.Check(ignorant, strategytest.Options{AnyZones: true}))
}

// The nodes of a topology belong to the ring. A strategy that sorts them would write indices into
// another order than that of the ring.
func TestStrategiesThatModifyTheirNodes(t *testing.T) {
	sorts := broken(func(t ring.Topology, table ring.Table) {
		slices.SortStableFunc(t.Nodes, func(a, b ring.Node) int { return b.Weight - a.Weight })
		firstNodes(table, t.PartitionCount)
	})
	require.ErrorContains(t, strategytest.Check(sorts, strategytest.Options{AnyZones: true}), "Assign modifies the nodes of its topology: node 0 was {ID:")
	derives := deriver{takes: func(from, _ ring.Topology) bool {
		slices.Reverse(from.Nodes)
		return false
	}}
	require.ErrorContains(t, strategytest.Check(derives, strategytest.Options{}), "Derive modifies the nodes of its topology: node 0 was {ID:")
}

// sloppy is a strategy whose Derive leaves the table as it is.
type sloppy struct{ rebalance.RoundRobin }

func (sloppy) Derive(_, _ ring.Topology, _ ring.Table) bool { return true }

func TestTablesThatAreDerivedWrongly(t *testing.T) {
	err := strategytest.Check(sloppy{}, strategytest.Options{})
	require.Error(t, err)
	require.Regexp(t, `when a node (joins|leaves|gets|moves)`, err.Error())
}

// deriver is a strategy that derives tables as a given function says, where the IDs are those that
// the function accepts.
type deriver struct {
	rebalance.Rendezvous
	takes func(from, to ring.Topology) bool // it leaves the table as it is
}

func (d deriver) Derive(from, to ring.Topology, table ring.Table) bool {
	return d.takes(from, to) || d.Rendezvous.Derive(from, to, table)
}

// Each of these mistakes shows only in one kind of change.
func TestMistakesOfDerivers(t *testing.T) {
	ids := func(t ring.Topology) (list []string) {
		for _, n := range t.Nodes {
			list = append(list, n.ID)
		}
		return list
	}
	same := func(from, to ring.Topology) bool { return slices.Equal(ids(from), ids(to)) }
	for name, tc := range map[string]struct {
		takes func(from, to ring.Topology) bool
		says  string
	}{
		"weights are ignored": {same, "gets another weight"},
		"zones are ignored": {func(from, to ring.Topology) bool {
			for i := range min(len(from.Nodes), len(to.Nodes)) {
				if from.Nodes[i].Weight != to.Nodes[i].Weight {
					return false
				}
			}
			return same(from, to)
		}, "moves to another zone"},
		"a node that joins at the end is ignored": {func(from, to ring.Topology) bool {
			last := len(from.Nodes)
			return last > 2 && last+1 == len(to.Nodes) && slices.Equal(ids(from), ids(to)[:last])
		}, "when a node"},
		"as many leave as join": {func(from, to ring.Topology) bool { return len(from.Nodes) == len(to.Nodes) && !same(from, to) }, "when several nodes change"},
	} {
		require.ErrorContains(t, strategytest.Check(deriver{takes: tc.takes}, strategytest.Options{}), tc.says, name)
	}
}

// A strategy that counts in bytes fails with the number of partitions and nodes that users have.
func TestMistakesOfLargeClusters(t *testing.T) {
	rows := broken(func(t ring.Topology, table ring.Table) {
		for p := 256; p < t.PartitionCount; p++ {
			clear(table.Row(p))
		}
	})
	require.ErrorContains(t, strategytest.Check(rows, strategytest.Options{}), "owners are distinct")
	nodes := broken(func(t ring.Topology, _ ring.Table) {
		for i := range t.Nodes[1:] {
			if byte(i+1) == 0 {
				panic("a node is the first one")
			}
		}
	})
	require.ErrorContains(t, strategytest.Check(nodes, strategytest.Options{}), "a node is the first one")
	truncated := broken(func(t ring.Topology, _ ring.Table) {
		seen := make(map[string]bool)
		for _, n := range t.Nodes {
			id := n.ID[:min(len(n.ID), 32)]
			if seen[id] {
				panic("two nodes of one ID")
			}
			seen[id] = true
		}
	})
	require.ErrorContains(t, strategytest.Check(truncated, strategytest.Options{}), "two nodes of one ID")
}

func TestPropertiesOneByOne(t *testing.T) {
	c := strategytest.Cluster{PartitionCount: 64, ReplicationFactor: 2, Nodes: []ring.Node{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}}
	require.NoError(t, strategytest.MovesOnlyToJoiner(rebalance.Rendezvous{}, c, ring.Node{ID: "e"}))
	require.ErrorContains(t, strategytest.MovesOnlyToJoiner(rebalance.RoundRobin{}, c, ring.Node{ID: "e"}), "partition ")

	require.NoError(t, strategytest.OneOwnerALeave(rebalance.Rendezvous{}, c, 1))
	require.ErrorContains(t, strategytest.OneOwnerALeave(rebalance.RoundRobin{}, c, 1), `"b" leaves, and [`)
	require.NoError(t, strategytest.CheckCluster(rebalance.Rendezvous{}, c, strategytest.Options{Seed: 1}))
	limit := func(n int) func(ring.Node) int { return func(ring.Node) int { return n } }
	require.NoError(t, strategytest.WithinLimit(rebalance.RoundRobin{}, c, limit(32)))
	require.ErrorContains(t, strategytest.WithinLimit(rebalance.RoundRobin{}, c, limit(31)), "owns 32 partitions, its limit is 31")

	require.EqualError(t, strategytest.CheckCluster(rebalance.Rendezvous{}, strategytest.Cluster{PartitionCount: 1, ReplicationFactor: 1}, strategytest.Options{}), "the cluster has no nodes: must be one or more")

	c.PartitionCount = 0
	for _, property := range []func(ring.RebalanceStrategy, strategytest.Cluster) error{
		func(s ring.RebalanceStrategy, c strategytest.Cluster) error {
			return strategytest.CheckCluster(s, c, strategytest.Options{})
		},
		func(s ring.RebalanceStrategy, c strategytest.Cluster) error {
			return strategytest.MovesOnlyToJoiner(s, c, ring.Node{ID: "e"})
		},
		func(s ring.RebalanceStrategy, c strategytest.Cluster) error {
			return strategytest.OneOwnerALeave(s, c, 1)
		},
		func(s ring.RebalanceStrategy, c strategytest.Cluster) error {
			return strategytest.WithinLimit(s, c, limit(1))
		},
	} {
		require.ErrorContains(t, property(rebalance.Rendezvous{}, c), "PartitionCount", "what ring.Build refuses is handed on")
	}
}

// Generated clusters differ, are the same for the same seed, and are all valid.
func TestGenerate(t *testing.T) {
	shapes := make(map[int]bool)
	for seed := range uint64(300) {
		c := strategytest.Generate(rand.New(rand.NewPCG(seed, 1)))
		require.Equal(t, c, strategytest.Generate(rand.New(rand.NewPCG(seed, 1))))
		require.NoError(t, ring.Config{PartitionCount: c.PartitionCount, ReplicationFactor: c.ReplicationFactor, Strategy: rebalance.Rendezvous{}}.Validate())
		_, err := c.Build(rebalance.Rendezvous{})
		require.NoError(t, err, "%+v", c)
		shapes[len(c.Nodes)] = true
	}
	require.Greater(t, len(shapes), 15)
}
