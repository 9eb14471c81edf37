package cluster_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// follow collects events until its context ends or the cluster stops.
func follow(events func(func(cluster.Event) bool)) <-chan []cluster.Event {
	all := make(chan []cluster.Event, 1)
	go func() {
		var got []cluster.Event
		for e := range events {
			got = append(got, e)
		}
		all <- got
	}()
	return all
}

// of are the events about one member.
func of(id string, events []cluster.Event) (about []cluster.Event) {
	for _, e := range events {
		if e.Member != nil && e.Member.ID == id && e.Kind != cluster.StateChanged {
			about = append(about, e)
		}
	}
	return about
}

func TestEventsTellTheStory(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		story, unwell := follow(c.Events(t.Context())), c.Health() // before Start, so from the beginning
		require.NoError(t, c.Start(t.Context()))
		started := time.Now()
		other := b.start(2)
		b.agree(c, other)
		require.NoError(t, other.Update(t.Context(), func(a *membership.Attributes) { a.Metadata = map[string]string{"v": "2"} }))
		time.Sleep(2 * time.Second)
		b.net.Crash(addrPort(2))
		b.await("the crash is seen", func() bool { return len(c.Members()) == 1 })
		time.Sleep(7 * time.Second)
		back := b.start(2)
		b.agree(c, back)
		require.NoError(t, back.Stop(within(t, patience)))
		b.await("the leave is seen", func() bool { return len(c.Members()) == 1 })
		require.NoError(t, c.Stop(within(t, patience)))
		events := <-story

		var kinds []cluster.EventKind
		last := cluster.Member{}
		var at time.Time
		for i, e := range of("n2", events) {
			kinds = append(kinds, e.Kind)
			require.Equal(t, last, e.Member.Before, "event %d begins where the last one ended", i)
			require.False(t, e.At.Before(at))
			last, at = e.Member.After, e.At
			if last.ID == "" {
				last = e.Member.Before // the member before it was gone is Before when it returns
			}
			require.Zero(t, e.Folded)
			if e.Kind != cluster.MemberRejoined {
				require.Zero(t, e.Member.Away)
				continue
			}
			require.GreaterOrEqual(t, e.Member.Away, 7*time.Second)
			require.Less(t, e.Member.Away, 9*time.Second)
			require.Equal(t, membership.Joining, e.Member.After.State)
			require.NotEqual(t, e.Member.Before.Start, e.Member.After.Start)
		}
		require.Equal(t, []cluster.EventKind{
			cluster.MemberJoined, cluster.MemberUpdated, cluster.MemberUpdated, cluster.MemberFailed,
			cluster.MemberRejoined, cluster.MemberUpdated, cluster.MemberLeaving, cluster.MemberLeft,
		}, kinds)
		checkRings(t, &ring.Ring{}, c.Ring(), events)
		health := checkHealth(t, unwell, events)
		for i, h := range health {
			if h.Health.After.Ready {
				require.Equal(t, started, h.At, "that it is ready is said at once: event %d", i)
				break
			}
		}
		require.Equal(t, api.ProblemLeaving, health[len(health)-1].Health.After.Problems[0].Code)
	})
}

// checkRings requires that each ring change begins where the last one ended.
func checkRings(t *testing.T, first, last *ring.Ring, events []cluster.Event) {
	t.Helper()
	was, version := first, uint64(0)
	for _, e := range events {
		if e.Ring == nil {
			continue
		}
		require.Equal(t, cluster.RingChanged, e.Kind)
		require.Equal(t, was.Fingerprint(), e.Ring.Old.Fingerprint(), "Old is the ring delivered last")
		require.NotEqual(t, e.Ring.Old.Fingerprint(), e.Ring.New.Fingerprint())
		require.Greater(t, e.Ring.Version, version)
		require.NotZero(t, e.Ring.Fingerprint)
		if e.Ring.Old.Len() > 0 && e.Ring.New.Len() > 0 {
			_, err := rebalance.Diff(e.Ring.Old, e.Ring.New)
			require.NoError(t, err)
		}
		was, version = e.Ring.New, e.Ring.Version
	}
	require.Equal(t, last.Fingerprint(), was.Fingerprint())
}

// checkHealth requires the same of changes of health, and returns the events of health.
func checkHealth(t *testing.T, was cluster.Health, events []cluster.Event) (about []cluster.Event) {
	t.Helper()
	for _, e := range events {
		if e.Health == nil {
			continue
		}
		require.Equal(t, cluster.HealthChanged, e.Kind)
		require.Equal(t, was.Ready, e.Health.Before.Ready)
		require.Equal(t, was.Problems, e.Health.Before.Problems)
		was, about = e.Health.After, append(about, e)
	}
	return about
}

func TestEachSubscriberHasItsOwnChain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(2)
		c := all[0]
		early, earlyRing := follow(c.Events(t.Context())), c.Ring()
		third := b.start(3)
		b.agree(append(all, third)...)
		late, lateRing := follow(c.Events(t.Context())), c.Ring()
		require.NotEqual(t, earlyRing.Fingerprint(), lateRing.Fingerprint())
		require.NoError(t, third.Drain(within(t, patience)))
		require.NoError(t, third.Stop(within(t, patience)))
		b.agree(all...)
		require.NoError(t, c.Stop(within(t, patience)))
		checkRings(t, earlyRing, c.Ring(), <-early)
		checkRings(t, lateRing, c.Ring(), <-late)
	})
}

// A subscriber that reads late gets the newest state of everything and the number of
// folded events. Each change still begins where the one before ended.
func TestASlowSubscriber(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(2)
		c, ringBefore, memberBefore := all[0], all[0].Ring(), all[1].Local()
		events := c.Events(within(t, 10*time.Minute))
		const updates = 400
		for i := range updates {
			require.NoError(t, all[1].Update(t.Context(), func(a *membership.Attributes) {
				a.Metadata = map[string]string{"i": string(rune('a' + i%26)), "n": string(rune('a' + i/26))}
			}))
			time.Sleep(300 * time.Millisecond)
		}
		third := b.start(3)
		b.agree(append(all, third)...)
		time.Sleep(2 * time.Second)
		var got []cluster.Event
		folded := 0
		for e := range events {
			got = append(got, e)
			folded += e.Folded
			if len(of("n3", got)) == 2 && e.Ring != nil && e.Ring.New.Fingerprint() == c.Ring().Fingerprint() {
				break
			}
		}
		require.Less(t, len(got), updates)
		about := of("n2", got)
		require.Greater(t, folded, updates/4)
		require.Equal(t, memberBefore.Metadata, about[0].Member.Before.Metadata)
		require.Equal(t, all[1].Local().Metadata, about[len(about)-1].Member.After.Metadata)
		last := about[0].Member.Before
		for _, e := range about {
			require.Equal(t, last, e.Member.Before)
			last = e.Member.After
		}
		checkRings(t, ringBefore, c.Ring(), got)
	})
}

func TestSubscriptionsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.start(1)
		// A subscription ends with its context, whether it is iterated or not.
		ctx, cancel := context.WithCancel(t.Context())
		done := follow(c.Events(ctx))
		cancel()
		<-done
		for range c.Events(ended()) {
			require.Fail(t, "there is nothing to say to somebody who has gone")
		}

		// It ends when the subscriber leaves its loop.
		events := c.Events(t.Context())
		b.start(2)
		n := 0
		for range events {
			if n++; n == 2 {
				break
			}
		}
		require.Equal(t, 2, n)

		// It ends when the cluster stops, after the events that are left. A later
		// subscription ends at once.
		events = c.Events(t.Context())
		require.NoError(t, c.Stop(t.Context()))
		var said []cluster.Event
		for e := range events {
			said = append(said, e)
		}
		require.NotEmpty(t, of("n1", said))
		for range c.Events(t.Context()) {
			require.Fail(t, "there is nothing to say")
		}
	})
}

// A subscription that is never iterated holds no memory once its context has ended.
func TestSubscriptionsDoNotLeak(t *testing.T) {
	c, err := cluster.New(options(1))
	require.NoError(t, err)
	before := runtime.NumGoroutine()
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		_ = c.Events(ctx)
		cancel()
	}
	awaitWithin(t, 10*time.Second, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestEventKindNames(t *testing.T) {
	var names []string
	for k := cluster.EventKind(0); k <= cluster.HandoffFailed+1; k++ {
		names = append(names, k.String())
	}
	require.Equal(t, []string{
		"unknown", "member-joined", "member-updated", "member-leaving", "member-left", "member-failed",
		"member-rejoined", "ring-changed", "state-changed", "health-changed",
		"handoff-started", "handoff-progressed", "handoff-completed", "handoff-failed", "unknown",
	}, names)
}

// Subscribers hear of each state that this member announces, before they hear of the ring that
// follows from it.
func TestStateChanged(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		story := follow(c.Events(t.Context()))
		watcher := b.make(2, func(o *cluster.Options) { o.Observer = true })
		watched := follow(watcher.Events(t.Context()))
		require.NoError(t, c.Start(t.Context()))
		require.NoError(t, watcher.Start(t.Context()))
		b.agree(c, watcher)
		require.NoError(t, c.Drain(within(t, patience)))
		require.NoError(t, c.Stop(t.Context()))
		require.NoError(t, watcher.Stop(t.Context()))

		var states []membership.State
		rings := 0
		last := membership.Joining
		for _, e := range <-story {
			switch e.Kind {
			case cluster.RingChanged:
				rings++
			case cluster.StateChanged:
				require.Equal(t, "n1", e.Member.ID)
				require.Equal(t, "state-changed", e.Kind.String())
				require.Equal(t, last, e.Member.Before.State)
				last = e.Member.After.State
				if last == membership.Active {
					require.Zero(t, rings, "the ring in which it owns comes later")
				}
				states = append(states, last)
			}
		}
		require.Equal(t, []membership.State{membership.Active, membership.Draining, membership.Leaving}, states)
		require.Positive(t, rings)
		states = nil
		for _, e := range <-watched {
			if e.Kind == cluster.StateChanged {
				require.Equal(t, membership.Observer, e.Member.Before.State)
				states = append(states, e.Member.After.State)
			}
		}
		require.Equal(t, []membership.State{membership.Leaving}, states, "an observer never owns")
	})
}
