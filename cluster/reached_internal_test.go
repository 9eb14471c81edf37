package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARetreatLastsLongerEachTime(t *testing.T) {
	var r retreat
	now, doubted := time.Unix(1000, 0), time.Time{}
	back := func() { r.out, r.since = true, now }
	// returns is how long the member must be reached.
	returns := func() (after time.Duration) {
		for began := now; !r.over(now, doubted); now = now.Add(time.Second) {
			require.Less(t, now.Sub(began), time.Hour)
			after = now.Add(time.Second).Sub(began)
		}
		r.out = false
		return after
	}
	for _, want := range []time.Duration{firstRetreat, 2 * firstRetreat, 4 * firstRetreat} {
		back()
		for range 5 { // every second
			r.unreached(now)
			now = now.Add(time.Second)
		}
		require.False(t, r.over(now, doubted))
		now = now.Add(firstRetreat / 2)
		r.unreached(now) // what came before does not count
		require.Equal(t, want, returns())
	}
	back()
	r.unreached(now)
	require.False(t, r.over(now, doubted))
	now = now.Add(time.Minute)
	doubted = now
	require.Equal(t, 8*firstRetreat, returns(), "a suspicion begins the wait anew")
	back()
	require.Zero(t, returns(), "a death has a wait of its own")
	for range 10 {
		back()
		r.unreached(now)
		returns()
	}
	back()
	r.unreached(now)
	require.Equal(t, maxRetreat, returns())
	now = now.Add(retreatMemory)
	back()
	r.unreached(now)
	require.Equal(t, firstRetreat, returns())
}
