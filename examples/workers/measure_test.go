package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindows(t *testing.T) {
	t.Parallel()
	m := newMeasure()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	say := func(member, what string, partition, second int) {
		m.heard(member, fmt.Sprintf("%s %d %d", what, partition, at(second).UnixNano()))
	}
	for partition := range 5 {
		say("n1", "begin", partition, 1)
	}
	// Partition 0 keeps its worker. Partition 1 has two workers for three seconds,
	// partition 2 has none for four, and partition 3 has both faults.
	say("n2", "begin", 1, 12)
	say("n1", "end", 1, 15)
	say("n1", "end", 2, 12)
	say("n2", "begin", 2, 16)
	say("n2", "begin", 3, 11)
	say("n1", "end", 3, 12)
	say("n2", "end", 3, 14)
	say("n1", "begin", 3, 19)
	say("n2", "begin", 4, 3) // ended before the measured time
	say("n2", "end", 4, 4)

	w := m.between(at(10), at(20))
	require.Equal(t, 3, w.changed)
	require.Equal(t, []time.Duration{time.Second, 3 * time.Second}, w.two)
	require.Equal(t, []time.Duration{4 * time.Second, 5 * time.Second}, w.none)

	running, err := m.running()
	require.NoError(t, err)
	require.Equal(t, map[int][]string{0: {"n1"}, 1: {"n2"}, 2: {"n2"}, 3: {"n1"}, 4: {"n1"}}, running)

	m.died("n1", at(21))
	w = m.between(at(20), at(25))
	require.Equal(t, 3, w.changed)
	require.Equal(t, []time.Duration{4 * time.Second, 4 * time.Second, 4 * time.Second}, w.none)
	require.Empty(t, w.two)

	m.heard("n3", "panic: oh dear")
	_, err = m.running()
	require.ErrorContains(t, err, `n3 says "panic: oh dear"`)
}
