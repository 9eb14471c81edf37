package main

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVersionsAreTextThatSortsAsTheyDo(t *testing.T) {
	t.Parallel()
	ascending := []Version{{}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}, {1, 0, math.MaxUint64}, {1, math.MaxUint32, 0}, {maxTime, 0, 0}}
	for i, v := range ascending {
		var read Version
		require.NoError(t, read.UnmarshalText([]byte(v.String())))
		require.Equal(t, v, read)
		require.Equal(t, i == 0, v.IsZero())
		for j, w := range ascending {
			require.Equal(t, v.Compare(w), strings.Compare(v.String(), w.String()), "%v %v", v, w)
			require.Equal(t, i > j, v.Compare(w) > 0)
		}
	}
}

func FuzzVersion(f *testing.F) {
	f.Add(Version{1, 2, 3}.String())
	f.Add("")
	f.Add("0000000000000001-00000002-000000000000000g")
	f.Fuzz(func(t *testing.T, text string) {
		var v Version
		if v.UnmarshalText([]byte(text)) == nil {
			require.Equal(t, text, v.String(), "one text for each version")
		} else {
			require.True(t, v.IsZero(), "nothing has changed")
		}
	})
}

func TestVersionsLeaveRoomForHigherOnes(t *testing.T) {
	t.Parallel()
	var v Version
	require.NoError(t, v.UnmarshalText([]byte(Version{Time: maxTime}.String())))
	require.ErrorContains(t, v.UnmarshalText([]byte(Version{Time: maxTime + 1}.String())), "its time must be from 0 to 4000000000000000")
	require.Equal(t, int64(maxTime), v.Time)
}

func TestVersionsGrow(t *testing.T) {
	t.Parallel()
	c, d := NewClock(1, time.Now), NewClock(2, time.Now)
	now := c.Now()
	follows := []Version{{}, {Time: now}, {Time: now, Count: math.MaxUint32, Process: math.MaxUint64}, {Time: now + int64(time.Hour)}}
	for _, f := range follows {
		v := c.Next(now, f, Version{})
		require.Positive(t, v.Compare(f))
		require.GreaterOrEqual(t, v.Time, now)
		require.NotEqual(t, v, c.Next(now, f))
		require.NotEqual(t, v, d.Next(now, f))
	}
	require.Equal(t, now, c.Next(now, follows[0]).Time, "nothing that it does not follow counts")
	require.False(t, c.Next(math.MinInt64).IsZero())
	require.Zero(t, c.Next(math.MinInt64).Time)
}

// A clock uses the date once, and then follows the monotonic clock. A clock that is
// behind catches up with the versions that it sees.
func TestAClockSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var machine wall
		machine.set(-time.Hour)
		c, right := NewClock(1, machine.now), NewClock(2, time.Now)
		begin := right.Now()
		require.Equal(t, begin-int64(time.Hour), c.Now())
		c.See(Version{Time: begin})
		require.Equal(t, begin, c.Now())
		time.Sleep(time.Minute)
		require.Equal(t, begin+int64(time.Minute), c.Now(), "it steps on from what it has seen")
		c.See(Version{Time: begin})
		require.Equal(t, right.Now(), c.Now(), "nothing sets it back")

		at := func(ahead time.Duration) Version { return Version{Time: right.Now() + int64(ahead)} }
		require.NoError(t, right.Check(at(maxAhead)))
		require.EqualError(t, right.Check(at(maxAhead+1)), "version "+at(maxAhead+1).String()+" is 24h0m0.000000001s ahead of this member's clock: must be at most 24h0m0s; without a version the write is taken")
		tooFar := at(maxAhead + 1)
		right.See(tooFar)
		require.Error(t, right.Check(tooFar), "what users send does not count for more than the machine")
	})
}
