package membership

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func weightEvent(id string, from, to int) event {
	return event{Kind: eventUpdated, ID: id, Before: Member{ID: id, Weight: from}, After: Member{ID: id, Weight: to}}
}

func TestEventQueueKeepsOrderAndWakesOnce(t *testing.T) {
	q := newEventQueue()
	require.Empty(t, q.take())
	for i := range 5 {
		q.add(weightEvent("a", i, i+1))
	}
	select {
	case <-q.wake:
	default:
		require.Fail(t, "nobody was woken")
	}
	select {
	case <-q.wake:
		require.Fail(t, "once is enough")
	default:
	}
	for i, e := range q.take() {
		require.Equal(t, weightEvent("a", i, i+1), e)
	}
	require.Empty(t, q.take())
}

// When events are never taken, their memory depends only on the number of members.
func TestEventQueueFolds(t *testing.T) {
	q := newEventQueue()
	const members = 7
	for i := range 5 * maxPendingEvents {
		q.add(weightEvent(fmt.Sprint(i%members), i/members, i/members+1))
		require.LessOrEqual(t, len(q.pending), maxPendingEvents)
	}
	last := make(map[string]int)
	for _, e := range q.take() {
		require.Equal(t, last[e.ID], e.Before.Weight, "member %s", e.ID)
		last[e.ID] = e.After.Weight
	}
	require.Len(t, last, members)
	for i := range members {
		require.Equal(t, (5*maxPendingEvents-1-i)/members+1, last[fmt.Sprint(i)])
	}
}

func TestFoldKeepsTheLastOfEachMember(t *testing.T) {
	got := fold([]event{weightEvent("a", 1, 2), weightEvent("b", 1, 2), weightEvent("a", 2, 3), weightEvent("c", 1, 2), weightEvent("a", 3, 4)})
	require.Equal(t, []event{weightEvent("b", 1, 2), weightEvent("c", 1, 2), weightEvent("a", 1, 4)}, got)
	require.Empty(t, fold(nil))
}

func TestNamesOfKinds(t *testing.T) {
	var names []string
	for k := eventKind(0); k <= eventRejoined+1; k++ {
		names = append(names, k.String())
	}
	require.Equal(t, []string{"unknown", "joined", "updated", "leaving", "left", "failed", "rejoined", "unknown"}, names)
}
