package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func memberUpdate(id string, from, to int) Event {
	return Event{Kind: MemberUpdated, Member: &MemberChange{ID: id, Before: Member{ID: id, Weight: from}, After: Member{ID: id, Weight: to}}}
}

func TestFoldingKeepsTheNewestOfEachThing(t *testing.T) {
	b := testBuilder()
	views := []*published{unpublished()}
	for n := 1; n <= 4; n++ {
		views = append(views, derived(b, testMembers(n, nil), views[n-1]))
	}
	events := []Event{
		memberUpdate("a", 1, 2), ringEvent(views[0], views[1]), memberUpdate("b", 1, 2),
		{Kind: HealthChanged, Health: &HealthChange{Before: Health{Members: 1}, After: Health{Members: 2}}},
		ringEvent(views[1], views[2]), memberUpdate("a", 2, 3),
		{Kind: HealthChanged, Health: &HealthChange{Before: Health{Members: 2}, After: Health{Members: 3}}},
		ringEvent(views[2], views[3]), memberUpdate("a", 3, 4),
	}
	folded := foldEvents(events)
	require.Len(t, folded, 4)
	require.Equal(t, memberUpdate("b", 1, 2), folded[0], "what stands alone stays as it is")
	require.Equal(t, &HealthChange{Before: Health{Members: 1}, After: Health{Members: 3}}, folded[1].Health)
	require.Equal(t, 1, folded[1].Folded)
	require.Same(t, views[0].Ring, folded[2].Ring.Old)
	require.Same(t, views[3].Ring, folded[2].Ring.New)
	require.Equal(t, 2, folded[2].Folded)
	require.Equal(t, memberUpdate("a", 1, 4).Member, folded[3].Member)
	require.Equal(t, 2, folded[3].Folded)
	require.Equal(t, 1, events[1].Ring.New.Len(), "events others hold are not touched")

	// When events are folded again, the counts are added.
	again := foldEvents(append(folded, memberUpdate("a", 4, 5), ringEvent(views[3], views[4])))
	require.Equal(t, 3, again[2].Folded)
	require.Equal(t, memberUpdate("a", 1, 5).Member, again[2].Member)
	require.Equal(t, 3, again[3].Folded)
	require.Same(t, views[0].Ring, again[3].Ring.Old)
}

func TestAQueueIsBounded(t *testing.T) {
	const things = 300 // more than maxQueued
	s := new(subscribers)
	sub := s.subscribe()
	total := 0
	for round := range 50 {
		for i := range things {
			s.add(memberUpdate(fmt.Sprint(i), round, round+1))
			total++
			require.LessOrEqual(t, len(sub.queue), 2*things+1)
		}
	}
	s.close()
	counted, latest := 0, make(map[string]int)
	for {
		e, ok := sub.next(t.Context())
		if !ok {
			break
		}
		counted += 1 + e.Folded
		require.Equal(t, latest[e.Member.ID], e.Member.Before.Weight, "the chain of %s", e.Member.ID)
		latest[e.Member.ID] = e.Member.After.Weight
	}
	require.Equal(t, total, counted, "every event is accounted for")
	require.Len(t, latest, things)
	for id, weight := range latest {
		require.Equal(t, 50, weight, id)
	}
}

func TestSubscriptionsAreForgotten(t *testing.T) {
	c, err := New(Options{ClusterName: "c", NodeID: "n", GossipAddr: ":0"})
	require.NoError(t, err)
	count := func() int {
		c.events.mu.Lock()
		defer c.events.mu.Unlock()
		return len(c.events.all)
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 10 {
		_ = c.Events(ctx)
	}
	require.Equal(t, 10, count())
	cancel()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for count() > 0 {
		select {
		case <-tick.C:
		case <-deadline.C:
			require.FailNow(t, "subscriptions stay", "%d of them", count())
		}
	}

	c.events.add(memberUpdate("a", 1, 2))
	events := c.Events(t.Context())
	c.events.add(memberUpdate("a", 2, 3))
	for e := range events {
		require.Equal(t, 3, e.Member.After.Weight, "from the call on, not before")
		break
	}
	require.Zero(t, count(), "who breaks off is forgotten at once")
}

// The kinds of membership's events are mapped by their names.
func TestMemberEventsKeepTheirKinds(t *testing.T) {
	for name, kind := range map[string]EventKind{
		"joined": MemberJoined, "updated": MemberUpdated, "leaving": MemberLeaving,
		"left": MemberLeft, "failed": MemberFailed, "rejoined": MemberRejoined, "unknown": 0,
	} {
		require.Equal(t, kind, memberKind(name), name)
		if kind != 0 {
			require.Equal(t, "member-"+name, kind.String())
		}
	}
}
