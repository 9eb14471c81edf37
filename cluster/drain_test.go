package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4)
		drained, rest := all[3], all[:3]
		require.NoError(t, drained.Drain(within(t, patience)))
		require.Equal(t, membership.Leaving, drained.Local().State)
		for _, c := range all {
			require.Equal(t, drained.Fingerprint(), c.Fingerprint(), "Drain returns when all agree")
			_, owns := c.Ring().Node("n4")
			require.False(t, owns)
			require.Len(t, c.Members(), 4, "it is still here")
		}
		require.Equal(t, 3, drained.Lookup("k").Len(), "it answers lookups")
		require.Equal(t, []string{api.ProblemLeaving}, problems(drained))
		require.False(t, drained.Health().Ready)
		require.True(t, rest[0].Health().Healthy)

		require.NoError(t, drained.Drain(t.Context()), "twice is fine")
		var unready *cluster.NotReadyError
		require.ErrorAs(t, drained.WaitReady(within(t, patience)), &unready, "there is no way back, hence no wait")
		require.EqualError(t, unready, "cluster: not ready: cluster: stopped: this member is leaving the cluster")

		require.NoError(t, drained.Stop(t.Context()))
		require.ErrorIs(t, drained.Drain(t.Context()), cluster.ErrStopped)
		b.agree(rest...)
	})
}

// Plan says which partitions a drain would move, before the member drains.
func TestDrainingMembersOwnUntilAllAgree(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4)
		b.net.Isolate(addrPort(2)) // cannot confirm
		short := within(t, 2*time.Second)
		err := all[3].Drain(short)
		var behind *cluster.NotConvergedError
		require.ErrorAs(t, err, &behind)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, behind.Differing, 1)
		require.Equal(t, "n2", behind.Differing[0].ID)
		require.EqualError(t, err, "cluster: not converged: context deadline exceeded: n2 has not confirmed this view")
		require.Equal(t, membership.Draining, all[3].Local().State, "as far as it got")
		require.True(t, all[3].Health().Ready, "it still serves")
		require.Equal(t, 4, all[0].Ring().Len())
		require.Equal(t, 3, all[0].Ring().Target().Len())
		_, owns := all[0].Ring().Target().Node("n4")
		require.False(t, owns)

		b.net.Heal()
		require.NoError(t, all[3].Drain(within(t, patience)), "it may be called again")
		require.Equal(t, membership.Leaving, all[3].Local().State)
	})
}

// A drain that timed out at the very end waits again, too.
func TestDrainAgainWaitsForTheLastStep(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		drained := make(chan error, 1)
		go func() { drained <- all[2].Drain(within(t, 3*time.Second)) }()
		awaitWithin(t, patience, "leaving", func() bool { return all[2].Local().State == membership.Leaving })
		b.net.Isolate(addrPort(2))
		require.ErrorIs(t, <-drained, context.DeadlineExceeded)
		require.Equal(t, membership.Leaving, all[2].Local().State)
		require.ErrorIs(t, all[2].Drain(within(t, time.Second)), context.DeadlineExceeded, "n2 has still not heard of it")
		b.net.Heal()
		require.NoError(t, all[2].Drain(within(t, patience)))
		require.Equal(t, all[2].Fingerprint(), all[1].Fingerprint())
	})
}

// A member on which Drain and Stop run at once leaves, and all calls return.
func TestDrainAndStopAtOnce(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				all := b.startMany(4)
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						if err := all[3].Drain(context.Background()); err != nil && !errors.Is(err, cluster.ErrStopped) {
							t.Error(err)
						}
					})
				}
				time.Sleep(delay)
				require.NoError(t, all[3].Stop(context.Background()))
				wg.Wait()
				require.Equal(t, membership.Leaving, all[3].Local().State)
				b.free(4)
				b.agree(all[:3]...)
			})
		})
	}
}

func TestDrainOfAnObserver(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		b.startMany(2)
		observer := b.start(3, func(o *cluster.Options) { o.Observer = true })
		events := observer.Events(within(t, patience))
		require.NoError(t, observer.Drain(within(t, patience)))
		require.Equal(t, membership.Leaving, observer.Local().State)
		require.NoError(t, observer.Stop(t.Context()))
		for e := range events {
			require.NotEqual(t, cluster.RingChanged, e.Kind, "it never owned anything")
			require.False(t, e.Member != nil && e.Member.After.State == membership.Draining, "nor had anything to drain")
		}
	})
}

func TestStopWithAContextThatEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		begun := time.Now()
		require.ErrorIs(t, all[2].Stop(ended()), context.Canceled)
		require.Less(t, time.Since(begun), time.Second, "it does not wait for the others")
		b.free(3)
		require.NoError(t, all[2].Stop(t.Context()))
		require.NoError(t, all[2].Stop(ended()), "it is done already")
		b.agree(all[:2]...)
	})
}

func TestStopTellsTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		events := all[0].Events(within(t, 20*time.Second))
		require.NoError(t, all[2].Stop(t.Context()))
		var kinds []cluster.EventKind
		for e := range events {
			if e.Member != nil && e.Member.ID == "n3" {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Equal(t, []cluster.EventKind{cluster.MemberLeaving, cluster.MemberLeft}, kinds)
	})
}

// When the last owner has left, no partition has an owner.
func TestStopOfTheOnlyMember(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.start(1)
		require.Equal(t, 1, c.Lookup("k").Len())
		begun := time.Now()
		require.NoError(t, c.Stop(t.Context()))
		require.Less(t, time.Since(begun), time.Second, "there is nobody to wait for")
		require.True(t, c.Lookup("k").Owns("n1"), "the last to go answers to the end")
	})
}

// The other members report a leave as a leave, and not as a failure, also where packets
// are lost.
func TestLeavesAreNotTakenForFailures(t *testing.T) {
	long(t)
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(20)
		require.NoError(t, b.net.SetPacketLoss(0.05))
		kinds := make(map[cluster.EventKind]int)
		ctx, cancel := context.WithCancel(t.Context())
		events := all[0].Events(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range events {
				kinds[e.Kind]++
			}
		}()
		for _, c := range all[10:] {
			require.NoError(t, c.Stop(t.Context()))
		}
		time.Sleep(20 * time.Second)
		require.Len(t, all[0].Members(), 10)
		cancel()
		<-done
		require.Equal(t, 10, kinds[cluster.MemberLeft], "%v", kinds)
		require.Zero(t, kinds[cluster.MemberFailed], "%v", kinds)
	})
}
