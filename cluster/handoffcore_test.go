package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// A ring without owners, which is what a member sees that cannot run the
// configuration, moves nothing: what is held stays held.
func TestAnEmptyRingMovesNothing(t *testing.T) {
	w := newWorld(t, 1)
	a := w.start("a", true)
	w.start("b", false)
	w.run(20 * time.Second)
	require.Empty(t, w.wrong)
	owned, fence := len(a.core.parts), a.core.fences
	require.Equal(t, w.partitions, owned)
	for _, empty := range []*ring.Ring{nil, {}} {
		a.core.view(handoffView{ring: empty, starts: map[string]uint64{}}, a.fence, w.now)
		a.core.step(w.now)
		require.Empty(t, a.core.take())
	}
	require.Len(t, a.core.parts, owned)
	require.Equal(t, fence, a.core.fences)
	for _, pt := range a.core.parts {
		require.True(t, pt.ready())
	}
}

// A member that is cut off starts nothing, and goes on where it was.
func TestAPausedCoreStartsNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.start("a", true)
	w.run(20 * time.Second)
	b := w.start("b", false)
	b.core.pause(true, w.now)
	w.run(20 * time.Second)
	require.False(t, b.core.joined())
	require.Zero(t, b.core.jobs)
	b.core.pause(false, w.now)
	b.drive()
	w.run(20 * time.Second)
	require.True(t, b.core.joined())
	require.Empty(t, w.wrong)
}

// When W of those who acknowledged lose their state at once, the owners that are
// left say so and do not become ready. Without the inquest they would.
func TestTheConditionBrokenIsReported(t *testing.T) {
	silent := 0
	for seed := range uint64(20) {
		lost, reported := breakTheCondition(t, seed+1, safeguards{})
		for p := range lost {
			require.True(t, reported[p], "seed %d: partition %d", seed+1, p)
		}
		lost, reported = breakTheCondition(t, seed+1, safeguards{noInquest: true})
		for p := range lost {
			if !reported[p] {
				silent++
			}
		}
	}
	require.Positive(t, silent)
}

// breakTheCondition ends two of five members at once. It returns the partitions of
// which an acknowledged write is gone, and those that an owner reports as lost.
func breakTheCondition(t *testing.T, seed uint64, safe safeguards) (lost, reported map[int]bool) {
	w := newWorld(t, seed)
	w.safe = safe
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		w.start(id, id == "a")
		w.run(2 * time.Second)
	}
	w.await(time.Minute, "the beginning")
	for range 40 {
		w.one().write(w.rand.IntN(w.partitions))
		w.run(100 * time.Millisecond)
	}
	w.run(5 * time.Second)
	require.Empty(t, w.wrong)
	lost, reported = make(map[int]bool), make(map[int]bool)
	gone := []*actor{w.live["d"], w.live["e"]}
	for _, a := range gone {
		delete(w.live, a.id)
		a.dead = true
		w.bury(a, 0)
	}
	for _, x := range w.writes {
		if !w.exists(x) {
			lost[x.partition] = true
		}
	}
	w.run(time.Minute)
	for p := range w.partitions {
		for _, a := range w.live {
			pt := a.core.parts[p]
			require.NotNil(t, pt, "three members own everything")
			if pt.lost {
				require.False(t, pt.ready())
				reported[p] = true
			}
		}
	}
	return lost, reported
}
