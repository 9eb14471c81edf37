package alarm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAlarmsAreDueInTheirOrder(t *testing.T) {
	var q Queue[string]
	now := time.Unix(0, 0)
	require.Zero(t, q.Next())
	q.Set("late", Delay{Least: 3 * time.Second, Most: 3 * time.Second}, true, now)
	q.Set("early", Delay{Least: time.Second, Most: time.Second}, true, now)
	q.Set("gone", Delay{Least: time.Second, Most: time.Second}, true, now)
	q.Set("early", Delay{Least: 2 * time.Second, Most: 2 * time.Second}, true, now) // replaces the time of "early"
	q.Reset("gone")
	require.Equal(t, now.Add(2*time.Second), q.Next())
	require.Empty(t, q.Due(now.Add(time.Second)))
	require.Equal(t, []string{"early", "late"}, q.Due(now.Add(5*time.Second)))
	require.Zero(t, q.Next())
}

// A delay doubles up to its bound, until the alarm is set anew. The queue keeps a lasting delay also when
// no alarm is set in between.
func TestDelaysGrow(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		var q Queue[int]
		now, d := time.Unix(0, 0), Delay{Least: time.Second, Most: 5 * time.Second, Lasting: lasting}
		for _, seconds := range []int64{1, 2, 4, 5, 5} {
			q.Set(0, d, false, now)
			require.Equal(t, seconds, q.Next().Unix()-now.Unix())
		}
		q.Set(0, d, true, now)
		require.Equal(t, time.Second, q.Next().Sub(now))
		require.Len(t, q.Due(now.Add(time.Second)), 1)
		require.Zero(t, q.Next())
		want := time.Second
		if lasting {
			want *= 2
		}
		q.Set(0, d, false, now)
		require.Equal(t, want, q.Next().Sub(now))
	}
}

// A spaced alarm is due one delay after it was last due. It is due at once when that time is over.
func TestSpacedAlarms(t *testing.T) {
	var q Queue[int]
	now, d := time.Unix(100, 0), Delay{Least: time.Second, Most: time.Second, Spaced: true, Lasting: true}
	for _, c := range []struct{ after, want time.Duration }{{0, 0}, {time.Second / 5, time.Second * 4 / 5}, {2 * time.Second, 0}} {
		now = now.Add(c.after)
		q.Set(0, d, false, now)
		require.Equal(t, c.want, q.Next().Sub(now))
		now = q.Next()
		require.Len(t, q.Due(now), 1)
		require.Zero(t, q.Next())
	}
}
