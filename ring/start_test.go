package ring_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// started returns nodes with the starts of a list, and 1 for the rest.
func started(nodes []ring.Node, starts ...uint64) []ring.Node {
	for i := range nodes {
		nodes[i].Start = 1
		if i < len(starts) {
			nodes[i].Start = starts[i]
		}
	}
	return nodes
}

// tableOf returns the IDs of all owners.
func tableOf(r *ring.Ring) (all [][]string) {
	for _, p := range r.All() {
		all = append(all, owners(p))
	}
	return all
}

// A token covers the starts of its owners. Nothing else depends on a start.
func TestTokensNameStarts(t *testing.T) {
	s := scatter(3)
	plain := build(t, 64, 3, s, zoned(6, "a", "b")...)
	first := build(t, 64, 3, s, started(zoned(6, "a", "b"))...)
	second := build(t, 64, 3, s, started(zoned(6, "a", "b"), 2)...)
	swapped := build(t, 64, 3, s, started(zoned(6, "a", "b"), 1, 2)...)
	for _, r := range []*ring.Ring{first, second, swapped} {
		require.Equal(t, plain.Fingerprint(), r.Fingerprint())
		require.Equal(t, tableOf(plain), tableOf(r))
	}
	owned := 0
	for p, was := range first.All() {
		is := second.Placement(p)
		require.NotEqual(t, plain.Placement(p).Token(), was.Token())
		require.Equal(t, !was.Owns("n00"), was.Token() == is.Token(), "partition %d", p)
		if was.Owns("n00") {
			owned++
			require.NotEqual(t, is.Token(), swapped.Placement(p).Token())
		}
	}
	require.Positive(t, owned)

	// A token also covers the starts of the target's owners. In package cluster they never differ
	// from those of the serving nodes, but a token must not rely on that.
	more := func(start uint64) *ring.Ring {
		paired, err := first.Toward(build(t, 64, 3, s, started(zoned(7, "a", "b"), 1, 1, 1, 1, 1, 1, start)...))
		require.NoError(t, err)
		return paired
	}
	one, other := more(1), more(2)
	require.Equal(t, one.Fingerprint(), other.Fingerprint())
	for p, placement := range one.All() {
		require.Equal(t, !placement.Target().Owns("n06"), placement.Token() == other.Placement(p).Token())
	}
	n, _ := second.Node("n00")
	require.EqualValues(t, 2, n.Start)
}

// A token covers the quorums where there is a write quorum: a writer with one W must not have the
// token of a writer with another W.
func TestTokensNameQuorums(t *testing.T) {
	tokens := make(map[ring.Token]string)
	prints := make(map[ring.Fingerprint]string)
	for name, config := range map[string]ring.Config{
		"none": {ReplicationFactor: 3}, "rf3w1": {ReplicationFactor: 3, WriteQuorum: 1}, "rf3w2": {ReplicationFactor: 3, WriteQuorum: 2},
		"rf3w3": {ReplicationFactor: 3, WriteQuorum: 3}, "rf4w2": {ReplicationFactor: 4, WriteQuorum: 2}, "rf4w3": {ReplicationFactor: 4, WriteQuorum: 3},
	} {
		config.PartitionCount, config.Strategy = 4, scatter(1)
		r, err := ring.Build(config, zoned(3, "a")) // the three nodes own all partitions
		require.NoError(t, err)
		require.Empty(t, tokens[r.Placement(2).Token()], name)
		require.Empty(t, prints[r.Fingerprint()], name)
		for n := range 4 {
			enough := ring.Writers(r.Placement(2)).Enough(0, func(id string) bool { return id < fmt.Sprintf("n%02d", n) })
			require.Equal(t, config.WriteQuorum > 0 && n >= config.WriteQuorum, enough, "%s, %d of 3", name, n)
		}
		tokens[r.Placement(2).Token()], prints[r.Fingerprint()] = name, name
	}
	for _, w := range []int{-1, 4} {
		err := ring.Config{PartitionCount: 4, ReplicationFactor: 3, WriteQuorum: w, Strategy: scatter(1)}.Validate()
		require.ErrorContains(t, err, "must be between 0 and 3, the replication factor")
	}
}

// Strategies see no starts. Where only starts have changed, the table is used again, and
// no strategy is asked.
func TestAStartChangesNoTable(t *testing.T) {
	asked := 0
	seen := func(nodes []ring.Node) {
		asked++
		for _, n := range nodes {
			require.Zero(t, n.Start)
		}
	}
	d := deriver{strategy{named("d"), func(topology ring.Topology, table ring.Table) error {
		seen(topology.Nodes)
		return first(topology, table)
	}}, func(from, to ring.Topology, _ ring.Table) bool {
		seen(from.Nodes)
		seen(to.Nodes)
		return false
	}}
	config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, WriteQuorum: 2, Strategy: d}
	before, err := ring.Build(config, started(zoned(4, "a")))
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	after, err := ring.Rebuild(before, config, started(zoned(4, "a"), 9))
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	require.Equal(t, tableOf(before), tableOf(after))
	require.NotEqual(t, before.Placement(0).Token(), after.Placement(0).Token())
	built, err := ring.Build(config, started(zoned(4, "a"), 9))
	require.NoError(t, err)
	require.Equal(t, built.Placement(0).Token(), after.Placement(0).Token())

	config.WriteQuorum = 1
	other, err := ring.Rebuild(after, config, started(zoned(4, "a"), 9))
	require.NoError(t, err)
	require.Equal(t, 2, asked, "W alone has changed since Build")
	require.NotEqual(t, after.Fingerprint(), other.Fingerprint())
	require.NotEqual(t, after.Placement(0).Token(), other.Placement(0).Token())

	_, err = ring.Rebuild(after, config, started(zoned(5, "a")))
	require.NoError(t, err)
	require.Equal(t, 5, asked, "a node has come")
}
