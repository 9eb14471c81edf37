package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// ErrFenced is the error of a [Fenced] store for a worker after another worker has
// claimed its partition.
var ErrFenced = errors.New("another worker has claimed this partition")

// Fenced is a store that makes a job safe when two members run it at once: it accepts a
// write only from the last worker that claimed the partition. Any store with
// conditional writes can do that, with a row for each partition:
//
//	claim: UPDATE jobs SET fence = fence + 1 WHERE part = ? RETURNING fence, position
//	save:  UPDATE jobs SET position = ?      WHERE part = ? AND fence = ?
type Fenced interface {
	// Claim fences off all earlier workers of a partition. It returns the number of
	// this claim, and how far the work has come. The token is only for people: it
	// identifies the owners in the view of the worker.
	Claim(ctx context.Context, partition int, token ring.Token) (fence, position int64, err error)
	// Save saves how far the work has come. It returns ErrFenced when another worker
	// has claimed the partition since.
	Save(ctx context.Context, partition int, fence, position int64) error
}

// Steps is a job that works in steps, and saves after each step how far it has come.
// Two workers at once do no harm if a step may be done twice: the store accepts the
// result of one of them.
type Steps struct {
	Store Fenced
	// Step does one step. A worker that takes over repeats the last step if it was not
	// saved, so Step must be idempotent.
	Step func(ctx context.Context, partition int, position int64) error
	// Retry is the wait after an error.
	Retry  time.Duration
	Logger *slog.Logger
}

// Run is a [Job]. A worker that is fenced off claims the partition again after a while,
// for as long as this member is the primary in its own view. The view of the other
// member may have been the outdated one, so that its worker has stopped by then.
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

// work continues the work until an error or the end of the context.
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
