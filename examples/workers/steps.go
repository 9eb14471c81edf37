package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// ErrFenced is what a [Fenced] store returns to a worker that is not the last to
// have claimed its partition.
var ErrFenced = errors.New("another worker has claimed this partition")

// Fenced is the store that makes a job safe, whoever else runs it: it takes a
// write only from the last worker that claimed the partition. Any store with a
// conditional write can do that, with a row for each partition:
//
//	claim: UPDATE jobs SET fence = fence + 1 WHERE part = ? RETURNING fence, position
//	save:  UPDATE jobs SET position = ?      WHERE part = ? AND fence = ?
type Fenced interface {
	// Claim fences off all earlier workers of a partition and returns the
	// number of this claim and how far the work has come. The token is for
	// people to read: by which owners the worker came to begin.
	Claim(ctx context.Context, partition int, token ring.Token) (fence, position int64, err error)
	// Save says how far the work has come. It returns ErrFenced when another worker
	// has claimed the partition since.
	Save(ctx context.Context, partition int, fence, position int64) error
}

// Steps is a job that works in steps and saves after each how far it has come.
// Two at once do no harm as long as one step may be done twice: the store takes
// the outcome of one of them.
type Steps struct {
	Store Fenced
	// Step does one step. Whoever takes over does the last one again if it was
	// not saved, so it must be harmless to do twice.
	Step func(ctx context.Context, partition int, position int64) error
	// Retry is how long to wait after an error.
	Retry  time.Duration
	Logger *slog.Logger
}

// Run is a [Job]. A worker that is fenced off claims the partition again after a
// while, for as long as this member believes that it is the primary: the other
// one may have been the one that was mistaken, and has stopped by then.
func (s *Steps) Run(ctx context.Context, partition int, token ring.Token) {
	for {
		err := s.work(ctx, partition, token)
		if ctx.Err() != nil {
			return
		}
		s.Logger.Info("work interrupted", "partition", partition, "error", err)
		retry := time.NewTimer(s.Retry)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return
		}
	}
}

// work goes on where the work stands until an error or the context stops it.
func (s *Steps) work(ctx context.Context, partition int, token ring.Token) error {
	fence, position, err := s.Store.Claim(ctx, partition, token)
	for err == nil {
		position++
		if err = s.Step(ctx, partition, position); err == nil {
			err = s.Store.Save(ctx, partition, fence, position)
		}
	}
	return err
}
