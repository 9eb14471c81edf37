package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// Who leaves in order on one side of a cut is not lost to the other side, though
// somebody crashes besides.
func TestWhoLeftInOrderIsNotGone(t *testing.T) {
	for safe, want := range map[safeguards]bool{{}: false, {noFarewells: true}: true} {
		w := newWorld(t, 1)
		w.safe = safe
		for i := range 8 {
			w.start(fmt.Sprintf("n%d", i), i == 0)
			w.run(time.Second)
		}
		w.await(time.Minute, "the beginning")
		for p := range w.partitions {
			w.one().write(p)
		}
		w.run(time.Second)
		require.NotEmpty(t, w.writes)
		w.divide("n6")
		w.run(10 * time.Second)
		for _, id := range []string{"n3", "n4", "n5"} {
			a := w.live[id]
			self := a.known[id].member
			self.State = membership.Draining
			w.announce(a, self)
			w.run(10 * time.Second)
			require.NotContains(t, w.live, id, "it has left")
		}
		w.crash(w.live["n7"])
		w.run(10 * time.Second)
		w.heal()
		w.run(time.Minute)
		w.checkAll()
		w.require(t)
		require.Equal(t, want, w.lost() > 0, "%d are reported as lost, with %+v", w.lost(), safe)
	}
}

func TestFarewellsAreBounded(t *testing.T) {
	a, b := process{"a", 1}, process{"b", 1}
	core := newCore(a, 2, 1, handoffPace{})
	core.starts[b.id] = b.start
	for i := range uint64(maxHandoffDeparted + 5) {
		for range 2 {
			core.hear(b, handoffMessage{kind: handoffQuery, seq: i, to: a.start, departed: []process{{"c", i}}}, time.Time{})
		}
	}
	require.Len(t, core.departed.all, maxHandoffDeparted)
	require.Equal(t, process{"c", 5}, core.departed.all[0], "the first are forgotten")
	require.Len(t, core.take(), 2*(maxHandoffDeparted+5), "each is answered")
	m := handoffMessage{kind: handoffAnswer, departed: core.departed.all}
	got, err := parseHandoff(m.bytes(), 2)
	require.NoError(t, err)
	require.Equal(t, m.departed, got.departed)
	core.send(b, handoffAnswer, 1, []int{0}, nil)
	require.Empty(t, core.take()[0].message.departed, "only who asks is told")
	core.send(b, handoffAnswer, 1, []int{0}, map[int]bool{0: true})
	require.Equal(t, core.departed.all, core.take()[0].message.departed)
}

// The journal is told who has left, until it knows, and says so after a restart.
func TestFarewellsAreJournaled(t *testing.T) {
	a, b, c := process{"a", 1}, process{"b", 1}, process{"c", 1}
	now := time.Unix(1, 0)
	core := newCore(a, 2, 1, handoffPace{retry: time.Second})
	core.restore(&journalState{})
	core.starts[b.id] = b.start
	core.hear(b, handoffMessage{kind: handoffQuery, seq: 1, to: a.start, departed: []process{c}}, now)
	job := func() *handoffJob {
		core.step(now)
		for _, action := range core.take() {
			if action.start != nil {
				return action.start
			}
		}
		return nil
	}
	first := job()
	require.EqualError(t, fmt.Errorf("%v", first), "recording who left")
	require.Nil(t, job(), "one at a time")
	core.done(first.part, first.id, errWorld, now)
	require.Nil(t, job(), "not at once")
	require.Equal(t, now.Add(time.Second), core.due)
	now = core.due
	second := job()
	require.NotNil(t, second)
	core.done(second.part, second.id, nil, now)
	now = now.Add(time.Minute)
	require.Nil(t, job())

	state := &journalState{}
	require.NoError(t, state.read(journalKey(second.part), second.record, 2))
	require.Equal(t, []process{c}, state.departed)
	require.Error(t, state.read(journalKey(second.part), second.record[1:], 2))
	next := newCore(a, 2, 1, handoffPace{})
	next.restore(&journalState{departed: []process{c}})
	require.True(t, next.departed.has(c))
}

// Who has released everything has drained, also where not all could be told.
func TestDrainWithoutFarewell(t *testing.T) {
	a, b := process{"a", 1}, process{"b", 1}
	core := newCore(a, 2, 1, handoffPace{})
	core.leaving, core.starts[b.id], core.nodes = true, b.start, map[process]bool{a: true, b: true}
	h := &handoffRun{c: &Cluster{stopped: make(chan struct{})}, core: core}
	require.False(t, core.bare())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, h.drained(ctx, membership.Leaving, false))
	core.parts[3] = &part{id: 3, holds: true}
	var left *NotHandedOverError
	require.ErrorAs(t, h.drained(ctx, membership.Leaving, false), &left)
	require.Equal(t, 1, left.Held)
}
