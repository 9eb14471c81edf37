package ring_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// pointer is a strategy whose methods panic on a nil pointer.
type pointer struct{ name string }

func (p *pointer) Name() string                           { return p.name }
func (p *pointer) Assign(ring.Topology, ring.Table) error { return nil }

// choosy is a strategy that checks its parameters.
type choosy struct {
	strategy
	validate func() error
}

func (c choosy) Validate() error { return c.validate() }

func TestConfigBounds(t *testing.T) {
	ok := scatter(1)
	long := strings.Repeat("x", 48)
	badName := " must be 1 to 48 bytes of printable ASCII without spaces or commas"
	for name, tc := range map[string]struct {
		config ring.Config
		want   string // the whole message; empty for none
	}{
		"smallest":            {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: ok}, ""},
		"largest":             {ring.Config{PartitionCount: 1 << 20, ReplicationFactor: 16, Strategy: ok}, ""},
		"no partitions":       {ring.Config{PartitionCount: 0, ReplicationFactor: 1, Strategy: ok}, "PartitionCount is 0: must be between 1 and 1048576"},
		"negative partitions": {ring.Config{PartitionCount: -1, ReplicationFactor: 1, Strategy: ok}, "PartitionCount is -1: must be between 1 and 1048576"},
		"many partitions":     {ring.Config{PartitionCount: 1<<20 + 1, ReplicationFactor: 1, Strategy: ok}, "PartitionCount is 1048577: must be between 1 and 1048576"},
		"no replicas":         {ring.Config{PartitionCount: 1, ReplicationFactor: 0, Strategy: ok}, "ReplicationFactor is 0: must be between 1 and 16"},
		"many replicas":       {ring.Config{PartitionCount: 1, ReplicationFactor: 17, Strategy: ok}, "ReplicationFactor is 17: must be between 1 and 16"},
		"no strategy":         {ring.Config{PartitionCount: 1, ReplicationFactor: 1}, "Strategy is <nil>: must be set"},
		"all at once": {ring.Config{}, "PartitionCount is 0: must be between 1 and 1048576\n" +
			"ReplicationFactor is 0: must be between 1 and 16\n" +
			"Strategy is <nil>: must be set"},
		"longest name": {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named(long), nil}}, ""},
		"long name":    {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named(long + "x"), nil}}, `Strategy.Name() is "` + long + `x":` + badName},
		"empty name":   {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named(""), nil}}, `Strategy.Name() is "":` + badName},
		"space":        {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named("a b"), nil}}, `Strategy.Name() is "a b":` + badName},
		"comma":        {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named("a,b"), nil}}, `Strategy.Name() is "a,b":` + badName},
		"control":      {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named("a\n"), nil}}, `Strategy.Name() is "a\n":` + badName},
		"not ASCII":    {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named("é"), nil}}, `Strategy.Name() is "é":` + badName},
		"not UTF-8":    {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: strategy{named("\xff"), nil}}, `Strategy.Name() is "\xff":` + badName},
		"typed nil": {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: (*pointer)(nil)},
			`ring: strategy "*ring_test.pointer": Name does not panic: panic: runtime error: invalid memory address or nil pointer dereference`},
		"its own bounds": {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: choosy{strategy{named("c"), nil}, func() error { return errors.New("c: load is 3") }}}, "c: load is 3"},
		"own bounds met": {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: choosy{strategy{named("c"), nil}, func() error { return nil }}}, ""},
		"own options":    {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: choosy{strategy{named("c"), nil}, func() error { return &option.Error{Field: "Load", Value: 3, Bound: "4"} }}}, "Strategy.Load is 3: must be 4"},
		"own bounds panic": {ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: choosy{strategy{named("c"), nil}, func() error { panic("no") }}},
			`ring: strategy "ring_test.choosy": Validate does not panic: panic: no`},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.config.Validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tc.want)
			_, err = ring.Build(tc.config, nil)
			want := tc.want
			if _, invalid := errors.AsType[*option.Error](tc.config.Validate()); invalid {
				want = "ring: invalid configuration: " + want
			}
			require.EqualError(t, err, want)
		})
	}
}

func TestNodeBounds(t *testing.T) {
	config := ring.Config{PartitionCount: 4, ReplicationFactor: 2, Strategy: scatter(1)}
	for name, tc := range map[string]struct {
		nodes []ring.Node
		want  string
	}{
		"lightest":  {[]ring.Node{{ID: "a", Weight: 1}}, ""},
		"unset":     {[]ring.Node{{ID: "a"}}, ""},
		"heaviest":  {[]ring.Node{{ID: "a", Weight: 1 << 20}}, ""},
		"negative":  {[]ring.Node{{ID: "a", Weight: -1}}, `ring: node "a": Weight is -1: must be between 1 and 1048576`},
		"too heavy": {[]ring.Node{{ID: "a", Weight: 1<<20 + 1}}, `ring: node "a": Weight is 1048577: must be between 1 and 1048576`},
		"no ID":     {[]ring.Node{{ID: "a"}, {}}, `ring: node "": ID is "": must be set`},
		"duplicate": {[]ring.Node{{ID: "b"}, {ID: "a"}, {ID: "b"}}, `ring: node "b": ID is "b": must be unique`},
		"too many":  {make([]ring.Node, ring.MaxNodes+1), "ring: len(nodes) is 65536: must be at most 65535"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ring.Build(config, tc.nodes)
			if tc.want == "" {
				require.NoError(t, err)
				require.NotZero(t, r.Nodes()[0].Weight, "zero means 1")
				return
			}
			require.EqualError(t, err, tc.want)
			require.ErrorAs(t, err, new(*option.Error))
			require.Nil(t, r)
		})
	}
}

func TestMaxNodes(t *testing.T) {
	nodes := make([]ring.Node, ring.MaxNodes)
	for i := range nodes {
		nodes[i].ID = fmt.Sprintf("%05d", i)
		nodes[i].Zone = nodes[i].ID
	}
	last := strategy{named("last"), func(t ring.Topology, table ring.Table) error {
		table.Row(0)[0] = uint16(len(t.Nodes) - 1)
		return nil
	}}
	r := build(t, 1, 1, last, nodes...)
	require.Equal(t, []string{"65534"}, owners(r.Lookup("key").Prefer("", "65534")))
	require.Equal(t, ring.Spread{Zones: ring.MaxNodes, Regions: 1}, r.Spread())
}

func TestStrategyThatMisbehaves(t *testing.T) {
	cause := errors.New("no idea")
	for name, tc := range map[string]struct {
		assign func(ring.Topology, ring.Table) error
		want   string
	}{
		"error":         {func(ring.Topology, ring.Table) error { return cause }, `ring: strategy "s": Assign succeeds: no idea`},
		"panic":         {func(ring.Topology, ring.Table) error { panic("oh") }, `ring: strategy "s": Assign does not panic: panic: oh`},
		"row too far":   {func(_ ring.Topology, t ring.Table) error { t.Row(8); return nil }, `ring: strategy "s": Assign does not panic: panic: runtime error: slice bounds out of range [::18] with capacity 16`},
		"nothing":       {func(ring.Topology, ring.Table) error { return nil }, `ring: strategy "s": partition 0: owners are distinct: node "n00" is listed twice`},
		"out of range":  {fill(5, 0, 3), `ring: strategy "s": partition 5: owners are nodes of the topology: owner 1 is index 3 of 3 nodes`},
		"owner twice":   {fill(7, 2, 2), `ring: strategy "s": partition 7: owners are distinct: node "n02" is listed twice`},
		"error and row": {func(t ring.Topology, table ring.Table) error { _ = fill(0, 0, 1)(t, table); return cause }, `ring: strategy "s": Assign succeeds: no idea`},
	} {
		t.Run(name, func(t *testing.T) {
			config := ring.Config{PartitionCount: 8, ReplicationFactor: 2, Strategy: strategy{named("s"), tc.assign}}
			r, err := ring.Build(config, zoned(3, "a"))
			require.EqualError(t, err, tc.want)
			require.Nil(t, r)
			var failure *ring.StrategyError
			require.ErrorAs(t, err, &failure)
			require.Equal(t, "s", failure.Strategy)
			if strings.HasPrefix(name, "error") {
				require.ErrorIs(t, err, cause)
			}
		})
	}
}

// fill makes a strategy whose table is valid except for one row.
func fill(partition int, bad ...uint16) func(ring.Topology, ring.Table) error {
	return func(t ring.Topology, table ring.Table) error {
		for p := range t.PartitionCount {
			copy(table.Row(p), []uint16{0, 1})
		}
		copy(table.Row(partition), bad)
		return nil
	}
}

func TestStrategySeesNormalizedTopology(t *testing.T) {
	var seen ring.Topology
	s := strategy{named("s"), func(topology ring.Topology, table ring.Table) error {
		seen = topology
		require.Len(t, table.Row(0), topology.Replicas)
		require.Equal(t, topology.Replicas, cap(table.Row(0)), "a row cannot be appended into the next")
		return fill(0, 0, 1)(topology, table)
	}}
	build(t, 3, 5, s, ring.Node{ID: "b", Weight: 7}, ring.Node{ID: "a"})
	require.Equal(t, ring.Topology{Nodes: []ring.Node{{ID: "a", Weight: 1}, {ID: "b", Weight: 7}}, PartitionCount: 3, Replicas: 2}, seen)
}

func TestRingCopiesItsInput(t *testing.T) {
	var table ring.Table
	var topology ring.Topology
	s := strategy{named("s"), func(tp ring.Topology, tb ring.Table) error {
		topology, table = tp, tb
		return scatter(1).Assign(tp, tb)
	}}
	nodes := zoned(5, "a", "b")
	r := build(t, 16, 3, s, nodes...)
	before, fingerprint := dump(r), r.Fingerprint()

	for p := range 16 {
		clear(table.Row(p))
	}
	clear(topology.Nodes)
	clear(nodes)
	clear(r.Nodes())
	require.Equal(t, before, dump(r))
	require.Equal(t, fingerprint, r.Fingerprint())
	again := build(t, 16, 3, strategy{named("s"), scatter(1).Assign}, zoned(5, "a", "b")...)
	require.Equal(t, fingerprint, again.Fingerprint())
}

func dump(r *ring.Ring) (rows [][]ring.Node) {
	for _, p := range r.All() {
		var row []ring.Node
		for _, n := range p.All() {
			row = append(row, n.Node())
		}
		rows = append(rows, row)
	}
	return rows
}

// The name of a strategy is asked for once, so that the checked name is the one that is
// used.
func TestNameThatChanges(t *testing.T) {
	calls := 0
	s := strategy{func() string {
		if calls++; calls == 1 {
			return "good"
		}
		return "bad, bad"
	}, scatter(1).Assign}
	r := build(t, 8, 2, s, zoned(3, "a")...)
	require.Equal(t, 1, calls)
	require.Equal(t, build(t, 8, 2, strategy{named("good"), s.assign}, zoned(3, "a")...).Fingerprint(), r.Fingerprint())
}

func TestOrderOfNodesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := generated().Draw(t, "nodes")
		given := slices.Clone(nodes)
		shuffled := rapid.Permutation(nodes).Draw(t, "shuffled")
		a, b := build(t, 16, 3, scatter(1), nodes...), build(t, 16, 3, scatter(1), shuffled...)
		require.Equal(t, given, nodes, "the argument stays as it was")
		require.Equal(t, a.Fingerprint(), b.Fingerprint())
		require.Equal(t, a.Nodes(), b.Nodes())
		require.True(t, slices.IsSortedFunc(a.Nodes(), func(x, y ring.Node) int { return strings.Compare(x.ID, y.ID) }))
	})
}
