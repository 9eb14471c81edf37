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
	ascending := []Version{{}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}, {1, 0, math.MaxUint64}, {1, math.MaxUint32, 0}, {math.MaxInt64, 0, 0}}
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

func TestAClockOnlyGoesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ahead := NewClock(1), NewClock(2)
		first, second := c.Next(), c.Next() // at the same time
		require.Positive(t, second.Compare(first))

		v := ahead.Next()
		v.Time += int64(maxSkew)
		require.NoError(t, c.See(v))
		require.Positive(t, c.Next().Compare(v), "though its own clock is behind")

		v.Time++
		require.EqualError(t, c.See(v), "version "+v.String()+" is 1m0.000000001s ahead of this member's clock: must be at most 1m0s")
		require.Error(t, c.See(Version{Time: -1}))
		require.Error(t, c.See(Version{Time: math.MaxInt64}))
		require.Negative(t, c.Next().Compare(v), "what was refused has no effect")

		time.Sleep(2 * maxSkew)
		require.Zero(t, c.Next().Count)
		c.last.Count = math.MaxUint32
		last := c.last
		require.Positive(t, c.Next().Compare(last))
	})
}
