package cluster_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// free requires that the address of member i can be bound.
func (b *testNet) free(i int) {
	b.t.Helper()
	transport, err := b.net.Listen(addrPort(i), nil)
	require.NoError(b.t, err, "the address of member %d is free", i)
	require.NoError(b.t, transport.Shutdown())
}

// callEverything calls every method; none may panic or hang.
func callEverything(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Lookup("k").Len()
	_, _ = c.Ring().LookupBytes([]byte("k")).Primary()
	for range c.Ring().All() {
		break
	}
	c.Ring().Group([]string{"a", "b"}, new(ring.Batch))
	_ = c.Members()
	_, _ = c.Member("n1")
	_ = c.Local()
	_ = c.Fingerprint()
	_ = c.Health()
	_ = c.HTTPAddr()
	_ = c.Handler()
	_, _ = c.Plan(rebalance.Change{Remove: []string{"n1"}})
	_ = c.Update(ctx, func(a *membership.Attributes) { a.HTTPAddr = "h:1" })
	_, _ = c.NodesForKey(ctx, "k")
	_ = c.WaitReady(ctx)
	_ = c.WaitConverged(ctx)
	_ = c.Keys().Install(make([]byte, 16))
	_ = c.Keys().Use(make([]byte, 16))
	_ = c.Keys().Remove(make([]byte, 16))
	_ = c.Keys().Remove(nil)
	for range c.Events(ctx) {
		continue
	}
}

// TestNilContexts: a nil context is an error, at any time. Events goes on without one.
func TestNilContexts(t *testing.T) {
	var none context.Context
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		check := func() {
			for name, err := range map[string]error{
				"Start": c.Start(none), "Drain": c.Drain(none), "Resume": c.Resume(none),
				"WaitReady": c.WaitReady(none), "WaitConverged": c.WaitConverged(none),
				"Update": c.Update(none, func(*membership.Attributes) {}),
			} {
				require.ErrorContains(t, err, "the context is nil: pass context.Background()", name)
			}
			_, err := c.NodesForKey(none, "k")
			require.ErrorContains(t, err, "the context is nil")
			require.ErrorContains(t, c.Update(t.Context(), nil), "is nil")
		}
		check()
		require.NoError(t, c.Start(t.Context()))
		check()
		events := c.Events(none)
		require.NoError(t, c.Stop(none))
		for range events {
			continue
		}
		check()
	})
}

func TestEveryMethodBeforeStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		callEverything(t, c)
		require.Zero(t, c.Lookup("k").Len())
		_, ok := c.Lookup("k").Primary()
		require.False(t, ok)
		require.Empty(t, c.Members())
		require.Zero(t, c.Fingerprint())
		require.Equal(t, []string{api.ProblemNotStarted}, problems(c))
		require.ErrorIs(t, c.WaitConverged(t.Context()), cluster.ErrNotStarted)
		require.ErrorIs(t, c.Drain(t.Context()), cluster.ErrNotStarted)
		_, err := c.Plan(rebalance.Change{})
		require.ErrorIs(t, err, cluster.ErrNoRing)
		_, err = c.NodesForKey(ended(), "k")
		require.EqualError(t, err, "cluster: not ready: context canceled: this member has not joined yet")
		b.free(1) // New and all of the above opened nothing

		require.NoError(t, c.Start(t.Context()), "none of it keeps it from starting")
		require.Equal(t, "h:1", c.Local().HTTPAddr)
	})
}

func TestEveryMethodAfterStop(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(2)
		require.NoError(t, all[0].Stop(t.Context()))
		callEverything(t, all[0])
		require.NotZero(t, all[0].Lookup("k").Len(), "lookups go on")
		require.False(t, all[0].Health().Ready)
		require.ErrorIs(t, all[0].WaitConverged(t.Context()), cluster.ErrStopped)
		require.ErrorIs(t, all[0].WaitReady(t.Context()), cluster.ErrStopped)
		require.ErrorIs(t, all[0].Drain(t.Context()), cluster.ErrStopped)
		require.NoError(t, all[0].Start(t.Context()), "the first start came to nil")
		require.Equal(t, []string{api.ProblemLeaving}, problems(all[0])[:1])
		b.free(1)
	})
}

func TestStopBeforeStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		require.NoError(t, c.Stop(t.Context()))
		require.NoError(t, c.Stop(t.Context()))
		require.ErrorIs(t, c.Start(t.Context()), cluster.ErrStopped)
		require.ErrorIs(t, c.Drain(t.Context()), cluster.ErrStopped)
		require.ErrorIs(t, c.WaitReady(t.Context()), cluster.ErrStopped)
		callEverything(t, c)
		b.free(1)
	})
}

func TestStopFromManyGoroutines(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := all[0].Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		b.free(1)
		b.agree(all[1:]...)
	})
}

// At every moment of its start a member can be stopped.
func TestStopDuringStart(t *testing.T) {
	for _, delay := range []time.Duration{0, 1, time.Millisecond, 3 * time.Millisecond, 50 * time.Millisecond,
		200 * time.Millisecond, 300 * time.Millisecond, 302 * time.Millisecond, 400 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				other := b.start(1)
				c := b.make(2)
				started := make(chan error, 1)
				go func() { started <- c.Start(t.Context()) }()
				time.Sleep(delay)
				require.NoError(t, c.Stop(t.Context()))
				if err := <-started; err != nil {
					require.ErrorIs(t, err, cluster.ErrStopped)
				}
				b.free(2)
				require.ErrorIs(t, c.WaitReady(t.Context()), cluster.ErrStopped)
				b.agree(other)
			})
		})
	}
}

func TestStartIsOne(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		b.start(1)
		c := b.make(2)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := c.Start(t.Context()); err != nil {
					t.Error(err)
				}
				if !c.Health().Ready {
					t.Error("not ready after Start", c.Health().Problems)
				}
			})
		}
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		time.Sleep(time.Millisecond)
		require.ErrorIs(t, c.Start(impatient), context.DeadlineExceeded, "who waits may give up")
		wg.Wait()
		require.NoError(t, c.Start(t.Context()))
		require.NoError(t, c.Start(ended()), "it is done already")
	})
}

func TestStartWithAContextThatEnds(t *testing.T) {
	for _, delay := range []time.Duration{0, 1, 3 * time.Millisecond, 100 * time.Millisecond, 301 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				b.start(1)
				c := b.make(2)
				ctx, cancel := context.WithTimeout(t.Context(), delay)
				defer cancel()
				err := c.Start(ctx)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				b.free(2)
				require.ErrorIs(t, c.Start(t.Context()), context.DeadlineExceeded, "there is one start")
				require.ErrorIs(t, c.WaitReady(t.Context()), context.DeadlineExceeded)
				require.ErrorIs(t, c.Drain(t.Context()), context.DeadlineExceeded)
				require.ErrorIs(t, c.WaitConverged(t.Context()), context.DeadlineExceeded)
				require.Contains(t, problem(t, c, api.ProblemNotStarted).Message, "starting failed: ")
				require.NoError(t, c.Stop(t.Context()))
				require.ErrorIs(t, c.WaitReady(t.Context()), cluster.ErrStopped)
			})
		})
	}
}

func TestStartOnAnAddressThatIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		first := b.start(1)
		c := b.make(1, func(o *cluster.Options) { o.NodeID = "other" })
		err := c.Start(t.Context())
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.ErrorContains(t, err, "cluster: membership: listening on 10.0.0.1:7946: ")
		require.ErrorIs(t, c.Start(t.Context()), syscall.EADDRINUSE)
		require.NoError(t, c.Stop(t.Context()))
		require.True(t, first.Health().Ready)
		b.agree(first)
	})
}
