package ring_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// deriver is a strategy of functions that can derive.
type deriver struct {
	strategy
	derive func(from, to ring.Topology, table ring.Table) bool
}

func (d deriver) Derive(from, to ring.Topology, table ring.Table) bool {
	return d.derive(from, to, table)
}

// first gives every row the first nodes.
func first(topology ring.Topology, table ring.Table) error {
	for i := range table.Slots() {
		table.Slots()[i] = uint16(i % topology.Replicas)
	}
	return nil
}

func TestRebuildDerives(t *testing.T) {
	nodes := zoned(4, "a")
	asked := 0
	d := deriver{strategy{named("d"), first}, func(from, to ring.Topology, table ring.Table) bool {
		asked++
		require.Equal(t, []string{"n00", "n01", "n02"}, ids(from.Nodes))
		require.Equal(t, []string{"n00", "n01", "n02", "n03"}, ids(to.Nodes))
		require.Equal(t, ring.Topology{Nodes: from.Nodes, PartitionCount: 8, Replicas: 2}, from)
		require.Equal(t, ring.Topology{Nodes: to.Nodes, PartitionCount: 8, Replicas: 2}, to)
		for p := range 8 {
			require.Equal(t, []uint16{0, 1}, table.Row(p))
			table.Row(p)[1] = 3
		}
		from.Nodes[0].ID, to.Nodes[0].ID = "changed", "changed" // a copy that the strategy may change
		return true
	}}
	config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: d}
	before, err := ring.Build(config, nodes[:3])
	require.NoError(t, err)
	require.Zero(t, asked, "Build never derives")
	want := dump(before)

	after, err := ring.Rebuild(before, config, nodes)
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	for _, p := range after.All() {
		require.Equal(t, []string{"n00", "n03"}, owners(p))
	}
	require.Equal(t, want, dump(before), "the previous ring is not touched")

	paired, err := before.Toward(after)
	require.NoError(t, err)
	again, err := ring.Rebuild(paired, config, nodes)
	require.NoError(t, err)
	require.Equal(t, 2, asked)
	require.Equal(t, after.Fingerprint(), again.Fingerprint(), "a target plays no part")
}

func ids(nodes []ring.Node) (list []string) {
	for _, n := range nodes {
		list = append(list, n.ID)
	}
	return list
}

// Without a usable previous ring, Rebuild does the same as Build.
func TestRebuildWithoutAPreviousTable(t *testing.T) {
	nodes := zoned(4, "a")
	never := deriver{strategy{named("d"), first}, func(ring.Topology, ring.Topology, ring.Table) bool {
		t.Fatal("asked to derive")
		return false
	}}
	config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: never}
	want, err := ring.Build(config, nodes)
	require.NoError(t, err)
	other := never
	other.strategy = strategy{named("other"), first}
	for name, previous := range map[string]*ring.Ring{
		"nil":                        nil,
		"zero":                       {},
		"no nodes":                   build(t, 8, 2, never),
		"another strategy":           build(t, 8, 2, other, nodes...),
		"another number of rows":     build(t, 9, 2, never, nodes...),
		"another number of owners":   build(t, 8, 1, never, nodes...),
		"fewer nodes than are asked": build(t, 8, 2, strategy{named("d"), first}, nodes[0]),
	} {
		got, err := ring.Rebuild(previous, config, nodes)
		require.NoError(t, err, name)
		require.Equal(t, want.Fingerprint(), got.Fingerprint(), name)
	}
	_, err = ring.Rebuild(want, ring.Config{}, nodes)
	require.Error(t, err)
}

func TestRebuildAssignsWhenDeriveDoesNot(t *testing.T) {
	clean := false
	d := deriver{strategy{named("d"), func(topology ring.Topology, table ring.Table) error {
		clean = slices.Max(table.Slots()) == 0
		return first(topology, table)
	}}, func(_, _ ring.Topology, table ring.Table) bool {
		for i := range table.Slots() {
			table.Slots()[i] = 9
		}
		return false
	}}
	config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: d}
	before, err := ring.Build(config, zoned(3, "a"))
	require.NoError(t, err)
	after, err := ring.Rebuild(before, config, zoned(4, "a"))
	require.NoError(t, err)
	require.True(t, clean, "Assign finds an empty table")
	require.Equal(t, build(t, 8, 2, d, zoned(4, "a")...).Fingerprint(), after.Fingerprint())
}

// A strategy gets the owners as indices into the new nodes. Every row that it changes is checked,
// wherever it is in the table and however long the rows are.
func TestRebuildRenumbers(t *testing.T) {
	nodes := zoned(40, "a")
	for _, replicas := range []int{1, 2, 3, 7, 16} {
		assign := func(topology ring.Topology, table ring.Table) error {
			for i := range table.Slots() {
				p, j := i/topology.Replicas, i%topology.Replicas
				table.Slots()[i] = uint16((p + j) % len(topology.Nodes))
			}
			return nil
		}
		const partitions = 150
		change := func(ring.Table) {}
		d := deriver{strategy{named("d"), assign}, func(from, to ring.Topology, table ring.Table) bool {
			for p := range partitions {
				for j, n := range table.Row(p) {
					old := from.Nodes[(p+j)%len(from.Nodes)].ID
					i := slices.IndexFunc(to.Nodes, func(n ring.Node) bool { return n.ID == old })
					if i < 0 {
						i = ring.MaxNodes
					}
					require.Equal(t, uint16(i), n)
				}
			}
			change(table)
			return true
		}}
		config := ring.Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: d}
		before, err := ring.Build(config, nodes[1:39])
		require.NoError(t, err)
		for p := 0; p < partitions; p += 7 { // 38 old nodes become 1 to 39, and node 0 joins in front
			change = func(table ring.Table) { table.Row(p)[replicas-1] = 0 }
			after, err := ring.Rebuild(before, config, nodes)
			require.NoError(t, err)
			for q, owners := range after.All() {
				last := owners.At(replicas - 1).ID()
				require.Equal(t, p == q, last == nodes[0].ID, "row %d of %d owners", q, replicas)
			}
			change = func(table ring.Table) { table.Row(p)[replicas-1] = uint16(len(nodes)) }
			_, err = ring.Rebuild(before, config, nodes)
			require.ErrorContains(t, err, "index 40 of 40 nodes")
		}
		change = func(table ring.Table) {
			for i, n := range table.Slots() {
				if n == ring.MaxNodes {
					table.Slots()[i] = 39 // the node that joined
				}
			}
		}
		for joiners := range 6 {
			few, err := ring.Build(config, slices.Concat(nodes[:20-joiners], nodes[20:]))
			require.NoError(t, err)
			_, err = ring.Rebuild(few, config, nodes)
			require.NoError(t, err)
		}
		joined := append(slices.Clone(nodes[2:39]), nodes[39], nodes[0])
		_, err = ring.Rebuild(before, config, joined)
		require.ErrorContains(t, err, "index 39 of 39 nodes")
	}
}

// A note stays with its table, and does not change what the ring is.
func TestNotes(t *testing.T) {
	require.Zero(t, ring.Table{}.Note())
	note, found := uint64(7), uint64(0)
	d := deriver{strategy{named("d"), func(topology ring.Topology, table ring.Table) error {
		require.Zero(t, table.Note())
		table.SetNote(note)
		return first(topology, table)
	}}, func(_, _ ring.Topology, table ring.Table) bool {
		found = table.Note()
		table.SetNote(found + 1)
		return true
	}}
	config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: d}
	nodes := zoned(5, "a")
	r, err := ring.Build(config, nodes[:3])
	require.NoError(t, err)
	note = 9
	other, err := ring.Build(config, nodes[:3])
	require.NoError(t, err)
	require.Equal(t, r.Fingerprint(), other.Fingerprint())

	restarted := slices.Clone(nodes[:3])
	restarted[0].Start = 5
	r, err = ring.Rebuild(r, config, restarted) // shares the table
	require.NoError(t, err)
	after, err := ring.Rebuild(r, config, nodes[:4])
	require.NoError(t, err)
	require.EqualValues(t, 7, found)
	_, err = ring.Rebuild(after, config, nodes)
	require.NoError(t, err)
	require.EqualValues(t, 8, found, "the ring before keeps its own")
	_, err = ring.Rebuild(r, config, nodes[:4])
	require.NoError(t, err)
	require.EqualValues(t, 7, found)
}

// A derived table is checked like an assigned one.
func TestRebuildChecksDerivedTables(t *testing.T) {
	var kept ring.Table
	derive := func(ring.Table) {}
	d := deriver{strategy{named("d"), first}, func(_, _ ring.Topology, table ring.Table) bool {
		kept = table
		derive(table)
		return true
	}}
	config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: d}
	before, err := ring.Build(config, zoned(3, "a"))
	require.NoError(t, err)
	want := dump(before)

	var se *ring.StrategyError
	derive = func(ring.Table) { panic("oh") }
	_, err = ring.Rebuild(before, config, zoned(4, "a"))
	require.ErrorAs(t, err, &se)
	require.Equal(t, "Derive does not panic", se.Rule)

	derive = func(table ring.Table) { table.Row(5)[1] = 4 }
	_, err = ring.Rebuild(before, config, zoned(4, "a"))
	require.ErrorContains(t, err, "partition 5: owners are nodes of the topology: owner 1 is index 4 of 4 nodes")

	derive = func(table ring.Table) { table.Row(6)[1] = 0 }
	_, err = ring.Rebuild(before, config, zoned(4, "a"))
	require.ErrorContains(t, err, `partition 6: owners are distinct: node "n00" is listed twice`)

	derive = func(ring.Table) {}
	_, err = ring.Rebuild(before, config, zoned(4, "a")[1:])
	require.ErrorContains(t, err, "partition 0: owners are nodes of the topology: owner 0 is index 65535 of 3 nodes", "a row that lost an owner and did not change")

	after, err := ring.Rebuild(before, config, zoned(4, "a"))
	require.NoError(t, err)
	now := dump(after)
	for i := range kept.Slots() {
		kept.Slots()[i] = 2
	}
	require.Equal(t, want, dump(before))
	require.Equal(t, now, dump(after), "what the strategy keeps is not the ring's")
}
