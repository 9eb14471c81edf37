package ring_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
)

func TestGroup(t *testing.T) {
	var b ring.Batch // one Batch for all rings, as users are meant to use it
	for range b.All() {
		t.Fatal("the zero batch has no groups")
	}
	rapid.Check(t, func(t *rapid.T) {
		r := generatedRing(t)
		if rapid.Bool().Draw(t, "empty") {
			r = rapid.SampledFrom([]*ring.Ring{nil, {}, build(t, 8, 1, scatter(1))}).Draw(t, "ring")
		}
		keys := rapid.SliceOfN(rapid.StringN(0, 2, -1), 0, 100).Draw(t, "keys")
		want := make(map[string][]int)
		for i, key := range keys {
			if n, ok := r.Lookup(key).Primary(); ok {
				want[n.ID()] = append(want[n.ID()], i)
			}
		}
		r.Group(keys, &b)
		got, last := make(map[string][]int), ""
		for n, positions := range b.All() {
			require.Less(t, last, n.ID(), "ascending")
			last = n.ID()
			got[n.ID()] = append([]int{}, positions...)
		}
		require.Equal(t, want, got)

		raw := make([][]byte, len(keys))
		for i, key := range keys {
			raw[i] = []byte(key)
		}
		var ofBytes ring.Batch
		r.GroupBytes(raw, &ofBytes)
		clear(got)
		for n, positions := range ofBytes.All() {
			got[n.ID()] = positions
		}
		require.Equal(t, want, got)
	})
}

func TestGroupUsesItsMemoryAgain(t *testing.T) {
	r := build(t, 64, 2, scatter(1), zoned(9, "a")...)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = string(rune('a' + i))
	}
	var b ring.Batch
	r.Group(keys, &b)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.Group(keys, &b)
		for n, positions := range b.All() {
			sinkOwner, sinkInt = n, len(positions)
		}
	}))
}
