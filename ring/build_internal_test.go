package ring

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However much the IDs have in common, the nodes come in the order of their IDs.
func TestSortByID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringOfN(rapid.RuneFrom([]rune("\x00ab")), 0, 9, -1)
		prefix := rapid.SampledFrom([]string{"", "a", "orders-eu-"}).Draw(t, "prefix")
		var nodes []Node
		for i, rest := range rapid.SliceOfDistinct(id, rapid.ID).Draw(t, "ids") {
			nodes = append(nodes, Node{ID: prefix + rest, Weight: i})
		}
		given := slices.Clone(nodes)
		want := slices.SortedFunc(slices.Values(nodes), func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
		got := sortByID(nodes)
		require.True(t, slices.Equal(want, got), "%q", nodes)
		require.Equal(t, given, nodes, "the given nodes stay as they are")
	})
}

func TestMakeRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Uint16Max(1<<15-1), rapid.Uint16Max(3), rapid.Uint16Range(1<<15-3, 1<<15-1))
		numbers := rapid.SliceOfN(number, 0, 40).Draw(t, "numbers")
		n := number.Draw(t, "n")
		given, want := slices.Clone(numbers), slices.Clone(numbers)
		for i, v := range want {
			if v >= n {
				want[i]++
			}
		}
		got := make([]uint16, len(numbers))
		makeRoom(got, numbers, n)
		require.Equal(t, want, got)
		require.Equal(t, given, numbers)
		makeRoom(numbers, numbers, n)
		require.Equal(t, want, numbers, "in place")
	})
}
