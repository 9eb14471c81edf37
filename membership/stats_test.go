package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Events about other members are counted by kind.
func TestStatsCountEvents(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first := n.make(1)
		require.Zero(t, Drive(first).Stats(), "before the start")
		require.NoError(t, first.Start(t.Context()))
		require.Zero(t, Drive(first).Stats().Joined, "itself it does not count")
		second, third := n.start(2), n.start(3)
		n.see(3, first, second, third)
		require.Equal(t, uint64(2), Drive(first).Stats().Joined)

		require.NoError(t, third.Stop(t.Context()))
		n.see(2, first, second)
		n.net.Crash(addrOf(2))
		n.see(1, first)
		n.check(first, Stats{Joined: 2, Left: 1, Failed: 1, Lost: 1})

		n.start(2)
		n.start(3)
		n.see(3, first)
		n.check(first, Stats{Joined: 2, Left: 1, Failed: 1, Rejoined: 2})

		counted := make(map[eventKind]uint64)
		for _, e := range Drive(first).TakeEvents() {
			if e.ID != "n1" {
				counted[e.Kind]++
			}
		}
		s := Drive(first).Stats()
		for kind, count := range map[eventKind]uint64{
			eventJoined: s.Joined, eventLeft: s.Left, eventFailed: s.Failed, eventRejoined: s.Rejoined,
		} {
			require.Equal(t, counted[kind], count, "%v: what it told is what it counted", kind)
		}
	})
}

// check compares the counts of events and the number of lost members.
func (n *testNet) check(m *Membership, want Stats) {
	n.t.Helper()
	s := Drive(m).Stats()
	require.Equal(n.t, want, Stats{Joined: s.Joined, Left: s.Left, Failed: s.Failed, Rejoined: s.Rejoined, Lost: s.Lost})
}

func TestStatsOfGossip(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1), n.start(2)
		n.see(2, first, second)
		n.await("both were told all members", func() bool { return Drive(first).Stats().Syncs > 0 && Drive(second).Stats().Syncs > 0 })
		before := Drive(first).Stats()
		require.Zero(t, before.HealthScore)
		require.Zero(t, before.Refused)
		require.Positive(t, before.Traffic.StreamsAccepted, "n2 joined through it")
		require.Positive(t, Drive(second).Stats().Traffic.StreamsDialed)
		time.Sleep(10 * time.Second) // at least 10 packets are sent: a probe each second
		now := Drive(first).Stats().Traffic
		require.Greater(t, now.PacketsSent, before.Traffic.PacketsSent+9)
		require.Greater(t, now.PacketBytesSent, before.Traffic.PacketBytesSent+9*20)
		require.Positive(t, now.StreamBytesSent)
		require.Positive(t, now.StreamBytesReceived)

		stranger := n.make(3, func(o *Options) { o.ClusterName = "payments" })
		require.ErrorIs(t, stranger.Start(t.Context()), ErrClusterName)
		require.Positive(t, Drive(first).Stats().Refused.OtherCluster+Drive(second).Stats().Refused.OtherCluster)
		differs := n.make(4, func(o *Options) { o.PartitionCount = 65 })
		require.ErrorIs(t, differs.Start(t.Context()), ErrConfiguration)
		require.Positive(t, Drive(first).Stats().Refused.Announcements+Drive(second).Stats().Refused.Announcements)

		n.net.Isolate(addrOf(1))
		n.await("its probes fail", func() bool { return Drive(first).Stats().HealthScore > 0 })
		last := Drive(first).Stats()
		require.NoError(t, first.Stop(t.Context()))
		after := Drive(first).Stats()
		require.Zero(t, after.HealthScore, "it does not run")
		require.GreaterOrEqual(t, after.Traffic.PacketsSent, last.Traffic.PacketsSent, "counts stay")
		require.Equal(t, last.Refused, after.Refused)
	})
}

// The memory of failed members is bounded, and their count is right.
func TestLostMembersAreCountedWithinBounds(t *testing.T) {
	r := newRegistry("self@1", time.Now)
	const all = maxDeparted + maxDeparted/4
	member := func(i int) (string, Member) {
		return fmt.Sprintf("n%d@%d", i, i), Member{ID: fmt.Sprint("n", i), State: Active, Start: Start{Nonce: uint64(i)}}
	}
	// All records are counted only now and then: that takes most of the time.
	check := func(i int) {
		if i%16 == 0 || i%maxDeparted < 2 || i%maxDeparted > maxDeparted-3 {
			require.Len(t, r.failed(), r.stats().Lost)
		}
	}
	for i := range all {
		name, m := member(i)
		r.set(name, m)
		r.remove(name)
		require.Equal(t, min(i+1, maxDeparted), r.lost)
		check(i)
	}
	for i := range all {
		name, m := member(i)
		m.State = Leaving
		r.set(name, m)
		r.remove(name)
		check(i)
	}
	require.Zero(t, r.stats().Lost, "they have all been back, and left")
	require.Equal(t, uint64(all), r.stats().Failed)
	require.Equal(t, uint64(all), r.stats().Left)
	require.Equal(t, uint64(2*all), r.stats().Joined+r.stats().Rejoined)
}
