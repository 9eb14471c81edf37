package ring_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// rows is a strategy with one row, of the nodes named.
func rows(row ...uint16) ring.RebalanceStrategy {
	return strategy{named("rows/1"), func(_ ring.Topology, table ring.Table) error {
		copy(table.Row(0), row)
		return nil
	}}
}

func writers(s ring.WriteSet) (ids []string) {
	for o := range s.All() {
		ids = append(ids, o.ID())
	}
	return ids
}

func has(ids ...string) func(string) bool {
	set := make(map[string]bool)
	for _, id := range ids {
		set[id] = true
	}
	return func(id string) bool { return set[id] }
}

func TestWritersWithoutATarget(t *testing.T) {
	r := build(t, 1, 3, rows(2, 0, 1), zoned(4, "a", "b")...)
	set := ring.Writers(r.Placement(0))
	require.Equal(t, []string{"n02", "n00", "n01"}, writers(set))
	require.True(t, set.Includes("n01"))
	require.False(t, set.Includes("n03"))
	require.False(t, set.Enough(2, has("n02")))
	require.False(t, set.Enough(2, has("n02", "n03")), "n03 is no owner")
	require.True(t, set.Enough(2, has("n02", "n01")))
	require.Equal(t, []string{"n01", "n02", "n00"}, writers(ring.Writers(r.Placement(0).Prefer("eu", "b"))))
}

func TestWritersTowardATarget(t *testing.T) {
	nodes := zoned(5, "a")
	from := build(t, 1, 3, rows(0, 1, 2), nodes...)
	moving, err := from.Toward(build(t, 1, 3, rows(4, 2, 3), nodes...))
	require.NoError(t, err)
	set := ring.Writers(moving.Placement(0))
	require.Equal(t, []string{"n00", "n01", "n02", "n04", "n03"}, writers(set))
	for range set.All() {
		break // breaks off the iteration
	}
	for _, id := range writers(set) {
		require.True(t, set.Includes(id))
	}
	require.False(t, set.Includes("n05"))
	require.False(t, set.Enough(2, has("n00", "n01")), "no target owner")
	require.False(t, set.Enough(2, has("n03", "n04")), "no serving owner")
	require.False(t, set.Enough(2, has("n00", "n02")), "one target owner")
	require.True(t, set.Enough(2, has("n00", "n02", "n03")))
	require.False(t, set.Enough(3, has("n00", "n01", "n02", "n03")))
	require.True(t, set.Enough(3, has(writers(set)...)))
}

func TestWritersWithoutOwners(t *testing.T) {
	for _, set := range []ring.WriteSet{{}, ring.Writers(ring.Placement{}), ring.Writers(new(ring.Ring).Lookup("key"))} {
		require.Empty(t, writers(set))
		require.False(t, set.Includes(""))
		require.False(t, set.Enough(1, has("")))
	}
	one := ring.Writers(build(t, 1, 3, rows(0), zoned(1, "a")...).Placement(0))
	require.False(t, one.Enough(2, has("n00")), "one node is no quorum of a replication factor of 3")
}
