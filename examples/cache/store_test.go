package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// taken returns a value that a member with a right clock accepts at a time.
func taken(content string, at time.Time) Value { return Value{[]byte(content), at.UnixNano(), at} }

func TestStoreKeepsTheLastWrite(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := NewStore(1000, time.Hour)
	s.Put("k", taken("second", now))
	require.Equal(t, now.UnixNano(), s.Put("k", taken("first", now.Add(-time.Second))), "late")
	v, ok := s.Get("k")
	require.True(t, ok)
	require.Equal(t, "second", string(v.Content))
	require.Equal(t, now.Add(time.Second).UnixNano(), s.Put("k", taken("third", now.Add(time.Second))))
	v, _ = s.Get("k")
	require.Equal(t, "third", string(v.Content))
	_, ok = s.Get("other")
	require.False(t, ok)
}

func TestStoreStaysWithinItsBytes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := NewStore(100, time.Hour)
	for i := range 10 {
		s.Put(fmt.Sprint(i), taken("012345678", now)) // ten bytes with the key
	}
	require.Equal(t, 10, s.Len())
	_, ok := s.Get("0") // used last
	require.True(t, ok)
	s.Put("a", taken("0123456789", now))
	_, ok = s.Get("0")
	require.True(t, ok)
	for _, gone := range []string{"1", "2"} {
		_, ok = s.Get(gone)
		require.False(t, ok, gone)
	}
	require.Equal(t, 9, s.Len())
	s.Put("0", taken("0", now)) // smaller than before
	require.Equal(t, 9, s.Len())
	require.LessOrEqual(t, s.bytes, 100)

	s.Put("huge", taken(strings.Repeat("x", 100), now))
	require.Zero(t, s.Len(), "what never fits drives out the rest and itself")
	require.Zero(t, s.bytes)
}

func TestStoreForgetsOldEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(1000, time.Minute)
		v := taken("v", time.Now())
		v.Version += int64(time.Hour) // a clock that is ahead does not change the age
		s.Put("k", v)
		time.Sleep(time.Minute)
		_, ok := s.Get("k")
		require.True(t, ok)
		time.Sleep(time.Nanosecond)
		_, ok = s.Get("k")
		require.False(t, ok)
		require.Zero(t, s.Len())
	})
}

func TestStoreDropsEntriesOfOtherOwners(t *testing.T) {
	t.Parallel()
	s := NewStore(1000, time.Hour)
	for i := range 10 {
		s.Put(fmt.Sprint(i), taken("v", time.Now()))
	}
	require.Equal(t, 7, s.Keep(func(key string) bool { return key < "3" }))
	require.Equal(t, 3, s.Len())
	_, ok := s.Get("5")
	require.False(t, ok)
}
