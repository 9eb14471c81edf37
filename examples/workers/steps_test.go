package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// local is a Fenced store: the database without HTTP.
type local struct{ *database }

func (l local) Claim(_ context.Context, partition int, _ ring.Token) (fence, position int64, err error) {
	r := l.claim(partition)
	return r.Fence, r.Position, nil
}

func (l local) Save(_ context.Context, partition int, fence, position int64) error {
	if !l.save(partition, row{fence, position}) {
		return ErrFenced
	}
	return nil
}

func newSteps(store Fenced, step func(context.Context, int, int64) error) *Steps {
	return &Steps{Store: store, Step: step, Retry: time.Second, Logger: slog.New(slog.DiscardHandler)}
}

func sleepStep(ctx context.Context, _ int, _ int64) error { return work(ctx) }

// Two workers of one partition: the work goes on, no position is skipped or
// saved twice, and when one of them ends the other one has the work.
func TestTwoWorkersDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase()
		job := newSteps(local{d}, sleepStep)
		first, stopFirst := context.WithCancel(t.Context())
		second, stopSecond := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() { job.Run(first, 7, 0) })
		time.Sleep(10*stepTime + stepTime/2)
		synctest.Wait()
		require.Equal(t, 10, d.positions())
		both.Go(func() { job.Run(second, 7, 0) })
		time.Sleep(20 * time.Second)
		synctest.Wait() // a step ends at this moment
		saved, refused := d.counts()
		require.Positive(t, refused, "who has been replaced is refused")
		require.Equal(t, saved, d.positions(), "every save is a step forward of one")
		require.Greater(t, saved, 50, "they do not keep each other from working")

		stopFirst()
		time.Sleep(2 * time.Second) // long enough for the second worker to claim again
		synctest.Wait()
		before, _ := d.counts()
		time.Sleep(10 * stepTime)
		synctest.Wait()
		after, again := d.counts()
		require.InDelta(t, 10, after-before, 1)
		stopSecond()
		both.Wait()
		_, last := d.counts()
		require.Equal(t, again, last)
	})
}

// A step that fails is repeated, from the last saved position.
func TestAStepIsDoneAgainAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase()
		ctx, stop := context.WithCancel(t.Context())
		var done []int64
		job := newSteps(local{d}, func(_ context.Context, _ int, position int64) error {
			done = append(done, position)
			switch len(done) {
			case 2:
				return errors.New("out of paper")
			case 4:
				stop()
				return ctx.Err()
			}
			return nil
		})
		began := time.Now()
		job.Run(ctx, 7, 0)
		require.Equal(t, []int64{1, 2, 2, 3}, done)
		require.Equal(t, 2, d.positions())
		require.Equal(t, job.Retry, time.Since(began))
	})
}

func TestStoreOverHTTP(t *testing.T) {
	d := newDatabase()
	server := httptest.NewServer(d)
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	store := &remote{server.URL, server.Client()}
	old, position, err := store.Claim(t.Context(), 7, 1)
	require.NoError(t, err)
	require.Zero(t, position)
	require.NoError(t, store.Save(t.Context(), 7, old, 1))
	fence, position, err := store.Claim(t.Context(), 7, 2)
	require.NoError(t, err)
	require.Equal(t, int64(1), position)
	require.ErrorIs(t, store.Save(t.Context(), 7, old, 2), ErrFenced)
	require.NoError(t, store.Save(t.Context(), 7, fence, 2))
	saved, refused := d.counts()
	require.Equal(t, []int{2, 1, 2}, []int{saved, refused, d.positions()})

	require.ErrorContains(t, store.do(t.Context(), http.MethodPut, "/positions/7", nil, nil), "400 Bad Request")
	require.ErrorContains(t, store.do(t.Context(), http.MethodPost, "/claims/x", nil, nil), "400 Bad Request")
}
