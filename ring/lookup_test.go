package ring_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
)

func TestKeysSpreadOverPartitions(t *testing.T) {
	const perPartition = 400
	for _, partitions := range []int{1, 2, 3, 7, 64, 100, 271, 1000} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			r := build(t, partitions, 1, scatter(1), zoned(3, "a")...)
			hits := make([]int, partitions)
			for i := range perPartition * partitions {
				p := r.Partition(fmt.Sprintf("user:%d", i))
				require.True(t, p >= 0 && p < partitions)
				hits[p]++
			}
			for p, n := range hits {
				// Six standard deviations of a count whose mean is 400.
				require.InDelta(t, perPartition, n, 120, "partition %d", p)
			}
		})
	}
}

func TestPartitionDependsOnKeyAndCountAlone(t *testing.T) {
	a := build(t, 100, 1, scatter(1), zoned(3, "a")...)
	b := build(t, 100, 3, scatter(2), zoned(9, "a", "b")...)
	empty := build(t, 100, 1, scatter(1))
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		p := a.Partition(key)
		for _, r := range []*ring.Ring{a, b, empty} {
			require.Equal(t, p, r.Partition(key))
			require.Equal(t, p, r.Lookup(key).Partition())
		}
		require.Equal(t, a.Lookup(key), a.LookupBytes([]byte(key)))
		require.Equal(t, a.Lookup(key), a.Placement(p))
	})
}

// The mapping from key to partition is part of the protocol: it must not change.
func TestGoldenPartitions(t *testing.T) {
	for _, tc := range []struct {
		partitions int
		key        string
		want       int
	}{
		{1, "", 0}, {1, "user:42", 0},
		{100, "", 93}, {100, "user:42", 85},
		{4096, "", 3828}, {4096, "user:42", 3521}, {4096, "\x00\xff", 3597},
		{1 << 20, "user:42", 901630},
	} {
		r := build(t, tc.partitions, 1, scatter(1))
		assert.Equal(t, tc.want, r.Partition(tc.key), "%q of %d", tc.key, tc.partitions)
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	from := build(t, 64, 3, scatter(1), zoned(9, "a", "b", "c")...)
	r, err := from.Toward(build(t, 64, 3, scatter(2), zoned(9, "a", "b", "c")...))
	require.NoError(t, err)
	key, bytes := "user:4711", []byte("user:4711")
	for name, f := range map[string]func(){
		"Lookup":      func() { sinkInt += r.Lookup(key).Partition() },
		"LookupBytes": func() { sinkInt += r.LookupBytes(bytes).Len() },
		"Partition":   func() { sinkInt += r.Partition(key) },
		"Placement":   func() { sinkInt += r.Placement(7).Len() },
		"Primary":     func() { sinkOwner, sinkBool = r.Lookup(key).Primary() },
		"At":          func() { sinkOwner = r.Lookup(key).At(2) },
		"All": func() {
			for i, n := range r.Lookup(key).All() {
				sinkInt += i
				sinkOwner = n
			}
		},
		"Owns":        func() { sinkBool = r.Lookup(key).Owns("n04") },
		"Prefer":      func() { sinkOwner = r.Lookup(key).Prefer("eu", "b").At(0) },
		"Token":       func() { sinkHash = uint64(r.Lookup(key).Token()) },
		"Target":      func() { sinkOwner = r.Lookup(key).Target().At(0) },
		"Fingerprint": func() { sinkHash = uint64(r.Fingerprint()) },
		"Node":        func() { sinkNode, sinkBool = r.Node("n05") },
		"Ring.All": func() {
			for p, placement := range r.All() {
				sinkInt += p + placement.Len()
			}
		},
	} {
		t.Run(name, func(t *testing.T) { require.Zero(t, testing.AllocsPerRun(100, f)) })
	}
}

func TestRingAccessors(t *testing.T) {
	config := ring.Config{PartitionCount: 12, ReplicationFactor: 3, Strategy: ring.RebalanceStrategy(&pointer{"p"})}
	r, err := ring.Build(config, []ring.Node{{ID: "only", Zone: "z"}})
	require.NoError(t, err)
	require.Equal(t, config, r.Config())
	require.Equal(t, 12, r.PartitionCount())
	require.Equal(t, 1, r.Len())
	require.Equal(t, 1, r.Replicas(), "fewer nodes than the replication factor")
	n, ok := r.Node("only")
	require.True(t, ok)
	require.Equal(t, ring.Node{ID: "only", Zone: "z", Weight: 1}, n)
	for _, id := range []string{"", "onl", "onlyy", "zzz"} {
		_, ok = r.Node(id)
		require.False(t, ok, id)
	}
	visited := 0
	for p, placement := range r.All() {
		require.Equal(t, visited, p)
		require.Equal(t, r.Placement(p), placement)
		if visited++; visited == 5 {
			break
		}
	}
	require.Equal(t, 5, visited)
	for _, p := range []int{-1, 12, 1 << 30, -1 << 31} {
		require.Zero(t, r.Placement(p).Len(), p)
	}
}

// A ring may be missing, zero, or without nodes: nothing about it panics.
func TestEmptyRings(t *testing.T) {
	full := build(t, 8, 2, scatter(1), zoned(3, "a")...)
	for name, r := range map[string]*ring.Ring{
		"nil":      nil,
		"zero":     {},
		"no nodes": build(t, 8, 2, scatter(1)),
	} {
		t.Run(name, func(t *testing.T) {
			require.Zero(t, r.Len())
			require.Empty(t, r.Nodes())
			require.Zero(t, r.Replicas())
			require.Zero(t, r.Fingerprint())
			require.Equal(t, r, r.Target())
			_, ok := r.Node("a")
			require.False(t, ok)
			require.Equal(t, r.PartitionCount(), r.Config().PartitionCount)
			spread := r.Spread()
			require.Zero(t, spread.Zones+spread.Regions+spread.ZoneViolations+spread.RegionViolations)
			require.Equal(t, r.PartitionCount(), spread.UnderReplicated)
			for p := range r.All() {
				require.Less(t, p, r.PartitionCount())
			}
			empty(t, r.Lookup("key"))
			empty(t, r.LookupBytes(nil))
			empty(t, r.Placement(0))
			empty(t, r.Placement(-1))
			require.Equal(t, r.Lookup("key").Partition(), r.Partition("key"))

			same, err := r.Toward(full)
			require.NoError(t, err)
			require.Same(t, r, same, "an empty ring goes nowhere")
			same, err = full.Toward(r)
			require.NoError(t, err)
			require.Same(t, full, same, "nothing gives way to an empty ring")
		})
	}
	empty(t, ring.Placement{})
}

func empty(t *testing.T, p ring.Placement) {
	t.Helper()
	require.Zero(t, p.Len())
	_, ok := p.Primary()
	require.False(t, ok)
	require.Empty(t, owners(p))
	require.False(t, p.Owns(""))
	require.Equal(t, p, p.Prefer("eu", "a"))
	require.Equal(t, p, p.Target())
	require.Equal(t, p.Token(), p.Prefer("", "").Token())
	require.Panics(t, func() { p.At(0) })
}
