package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every way to group a batch comes to what single look-ups say, and a wrong one
// is found out.
func TestGroupers(t *testing.T) {
	k := randomKeys(batchKeys)
	sc := &scenario{size: few, hot: k, cold: k, members: memberIDs(20)}
	groupers, err := sc.groupers()
	require.NoError(t, err)
	require.Len(t, groupers, 6)
	for _, g := range groupers {
		require.NoError(t, g.check(k), g.name)
		if g.primary == nil {
			continue
		}
		wrong := g
		wrong.make = func() func(keys) (int, error) {
			loop := g.make()
			return func(k keys) (int, error) { return loop(k.part(1, k.len())) }
		}
		require.ErrorContains(t, wrong.check(k), "single look-ups", g.name)
	}
}

// A batch holds the keys that its step says.
func TestBatchesStep(t *testing.T) {
	k := randomKeys(2 * batchKeys)
	sc := &scenario{size: few, hot: k, cold: k, members: memberIDs(few.members)}
	var f failures
	cases, err := sc.batches(&f)
	require.NoError(t, err)
	for _, c := range cases {
		require.Equal(t, batchKeys, c.Step)
		run, err := c.Make()
		require.NoError(t, err)
		run(3 * batchKeys)
	}
	require.NoError(t, f.err())
}

// Joins and leaves are undone off the clock, so that each starts from the same
// members.
func TestRebuildsUndo(t *testing.T) {
	k := randomKeys(hotKeys)
	sc := &scenario{size: few, hot: k, cold: k, members: memberIDs(few.members)}
	clock, failed := newStopwatch(), new(failures)
	cases, err := sc.rebuilds(clock, failed)
	require.NoError(t, err)
	require.Len(t, cases, 4)
	for _, c := range cases {
		run, err := c.Make()
		require.NoError(t, err)
		run(3)
	}
	require.NoError(t, failed.err())
	require.Positive(t, clock.held)
}

func TestStopwatch(t *testing.T) {
	at := time.Duration(0)
	s := &stopwatch{clock: func() time.Duration { return at }}
	at += 3 * time.Second
	require.Equal(t, 3*time.Second, s.now())
	s.untimed(func() { at += time.Hour })
	require.Equal(t, 3*time.Second, s.now())
	at += time.Second
	require.Equal(t, 4*time.Second, s.now())
}

// What the libraries do on a join and a leave is held against what it should.
func TestRebuildChecks(t *testing.T) {
	c := newConsistent(memberIDs(10), 512)
	require.NoError(t, checkConsistent(c, "member-10", "member-3"))
	require.Error(t, checkConsistent(c, "member-10", "stranger"), "a stranger cannot leave")
}
