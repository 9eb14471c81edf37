package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/lifecycle"
)

var errStopped = errors.New("worker: stopped")

func newLife() *lifecycle.Life { return &lifecycle.Life{Name: "worker", Ended: errStopped} }

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestStartRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		failure := errors.New("no port")
		var runs atomic.Int32
		run := func(context.Context) error {
			runs.Add(1)
			time.Sleep(time.Second)
			return failure
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := l.Start(context.Background(), run); !errors.Is(err, failure) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		err := l.Start(ended(), run)
		require.EqualError(t, err, "worker: starting: context canceled")
		all.Wait()
		require.Equal(t, failure, l.Start(ended(), run), "a start that is done counts, even when the context has ended")
		require.Equal(t, int32(1), runs.Load())
	})
}

func TestStopEndsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		go func() {
			time.Sleep(time.Second)
			_ = l.Stop(context.Background(), func(_ context.Context, started bool) {
				if !started {
					t.Error("it was started")
				}
			})
		}()
		err := l.Start(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second) // Stop waits for the run
			select {
			case <-l.Stopped():
				t.Error("stopped while the start runs")
			default:
			}
			return context.Cause(ctx)
		})
		require.Equal(t, errStopped, err)
		require.Error(t, l.Ending().Err())
		<-l.Stopped()
	})
}

func TestContextOfTheRunEnds(t *testing.T) {
	l := newLife()
	err := l.Start(ended(), func(ctx context.Context) error { return ctx.Err() })
	require.Equal(t, context.Canceled, err)
	require.NoError(t, l.Ending().Err())
}

func TestStopComesFirst(t *testing.T) {
	l := newLife()
	var runs int
	for range 3 {
		require.NoError(t, l.Stop(t.Context(), func(_ context.Context, started bool) {
			runs++
			require.False(t, started)
		}))
	}
	require.Equal(t, 1, runs)
	require.Equal(t, errStopped, l.Start(t.Context(), func(context.Context) error { panic("it is stopped") }))
	require.NoError(t, l.Stop(ended(), nil), "it is done, even when the context has ended")
	var zero lifecycle.Life
	require.NoError(t, zero.Stop(t.Context(), func(context.Context, bool) {}))
	require.Equal(t, context.Canceled, zero.Start(t.Context(), nil))
}

func TestStopGoesOnWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		require.NoError(t, l.Start(t.Context(), func(context.Context) error { return nil }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := l.Stop(ctx, func(context.Context, bool) { time.Sleep(time.Minute) })
		require.EqualError(t, err, "worker: stopping: context deadline exceeded")
		begun := time.Now()
		require.NoError(t, l.Stop(t.Context(), nil))
		require.Equal(t, 59*time.Second, time.Since(begun))
	})
}

func TestANilContext(t *testing.T) {
	l := newLife()
	err := l.Start(nil, func(context.Context) error { panic("not run") }) //nolint:staticcheck // what the test is about
	require.EqualError(t, err, "worker: starting: the context is nil: pass context.Background() to set no limit")
	require.NoError(t, l.Start(t.Context(), func(context.Context) error { return nil }), "it did not count")
	require.NoError(t, l.Stop(nil, func(ctx context.Context, started bool) { //nolint:staticcheck // as above
		require.NoError(t, ctx.Err())
		require.True(t, started)
	}))
}

// Start does not recover from a panic of its function. A program that recovers can still
// stop the Life.
func TestStopDoesNotWaitForAStartThatPanicked(t *testing.T) {
	l := newLife()
	require.PanicsWithValue(t, "no reason", func() {
		_ = l.Start(t.Context(), func(context.Context) error { panic("no reason") })
	})
	require.EqualError(t, l.Start(t.Context(), nil), "worker: starting: panicked")
	require.NoError(t, l.Stop(t.Context(), func(context.Context, bool) {}))
}

func TestBroadcastWakesAllThatWait(t *testing.T) {
	var b lifecycle.Broadcast
	b.Signal() // nothing waits
	first, second := b.Wait(), b.Wait()
	select {
	case <-first:
		require.Fail(t, "no signal since Wait")
	default:
	}
	b.Signal()
	<-first
	<-second
	select {
	case <-b.Wait():
		require.Fail(t, "a signal is over when it is given")
	default:
	}
}

// Undo waits for what it runs until a moment after its context, and Stop until it has ended.
func TestUndo(t *testing.T) {
	for _, lasts := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l, failure, begun := newLife(), errors.New("no port"), time.Now()
			var ends time.Time
			err := l.Start(context.Background(), func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				l.Undo(ctx, func() {
					time.Sleep(lasts)
					ends = time.Now()
				})
				return failure
			})
			require.Equal(t, failure, err)
			require.Equal(t, min(lasts, time.Second+lifecycle.Grace), time.Since(begun))
			require.NoError(t, l.Stop(context.Background(), func(context.Context, bool) {
				require.Equal(t, begun.Add(lasts), ends, "it is undone")
			}))
			l.Linger() // for a Life that is stopped it does not wait
			require.Equal(t, lasts, time.Since(begun))
		})
	}
}
