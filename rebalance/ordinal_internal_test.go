package rebalance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The set of seats above a level yields the same seats as a loop over all seats, in the order of a circle that
// begins at any seat. Meanwhile seats lose slots, and other seats join the set.
func TestAbove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.IntRange(2, 200).Draw(t, "seats")
		loads := make([]int, seats)
		for i := range loads {
			loads[i] = rapid.IntRange(0, 5).Draw(t, "load")
		}
		n, level := rapid.IntRange(1, seats-1).Draw(t, "joined"), rapid.IntRange(1, 6).Draw(t, "level")
		a := newAbove(seats)
		for ; n < seats; n++ {
			level = max(0, level-rapid.IntRange(0, 1).Draw(t, "lower"))
			a.lower(level, loads[:n])
			start := rapid.IntRange(0, n-1).Draw(t, "start")
			var want []int
			for i := range n {
				if seat := (start + i) % n; loads[seat] > level {
					want = append(want, seat)
				}
			}
			require.Equal(t, want, slices.Collect(a.from(start, n)))
			for seat := range a.from(start, n) { // the first gives all that is above, the others one slot
				for left := true; left; left = seat == want[0] && loads[seat] > level {
					loads[seat]--
					a.gave(seat, loads[seat])
				}
			}
			loads[n] = min(loads[n], level)
		}
	})
}
