package main

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

// Job does the work of one partition until its context ends, and returns soon after
// that, because the next owner may have begun already. The token is that of the
// partition's placement in this member's view when the job began.
//
// A job must allow that another member does the same work at the same time. [Steps]
// shows how.
type Job func(ctx context.Context, partition int, token ring.Token)

// view has the methods of *cluster.Cluster that a Runner uses.
type view interface {
	Ring() *ring.Ring
	Health() cluster.Health
	WaitConverged(ctx context.Context) error
}

// Runner runs a worker for every partition while this member is its primary. It is no
// lock. While the views of members differ, a partition may have two workers, or none:
// for a moment after a change, and for as long as the network is split.
type Runner struct {
	View view
	Job  Job
	// Agreement is how long the runner waits, before new workers begin, until all
	// members agree on the owners. With a wait, two workers at once are rarer, but
	// still possible, and every worker begins later. Zero means that workers begin at
	// once.
	Agreement time.Duration

	workers map[int]*worker // by partition, with workers that were told to stop
	running sync.WaitGroup
}

// worker is a goroutine that runs the job of a partition.
type worker struct {
	stop    context.CancelFunc
	stopped bool // told to
	ended   chan struct{}
}

// Run follows the events of a cluster until they end. It returns when all workers have
// ended. Subscribe before the cluster starts, and call Run once.
func (r *Runner) Run(events iter.Seq[cluster.Event]) {
	ctx, cancel := context.WithCancel(context.Background())
	defer r.running.Wait()
	defer cancel()
	r.workers = make(map[int]*worker)
	r.reconcile(ctx) // there may be a ring already
	for e := range events {
		if e.Kind == cluster.RingChanged || e.Kind == cluster.HealthChanged {
			r.reconcile(ctx)
		}
	}
}

// reconcile starts and stops workers until exactly the right ones run. An event only triggers
// reconcile. Which workers should run follows from the present ring, so an earlier mistake has no
// lasting effect.
//
// A member that is not ready runs no workers: it leaves, most of the others do not
// answer it, or another process has its NodeID.
func (r *Runner) reconcile(ctx context.Context) {
	now, health := r.View.Ring(), r.View.Health()
	mine := func(partition int) bool {
		primary, ok := now.Placement(partition).Primary()
		return ok && health.Ready && primary.ID() == health.NodeID
	}
	for partition, w := range r.workers { // first, because other members begin these now
		if !w.stopped && !mine(partition) {
			w.stop()
			w.stopped = true
		}
	}
	for partition := range now.PartitionCount() {
		if w := r.workers[partition]; mine(partition) && (w == nil || w.stopped) {
			r.workers[partition] = r.begin(ctx, partition, w)
		}
	}
}

// begin starts a worker. The worker waits until the one before it, of the same
// partition, has ended, so that there are never two in one process.
func (r *Runner) begin(ctx context.Context, partition int, before *worker) *worker {
	ctx, stop := context.WithCancel(ctx)
	w := &worker{stop: stop, ended: make(chan struct{})}
	r.running.Go(func() {
		defer close(w.ended)
		defer stop()
		if before != nil {
			<-before.ended
		}
		if r.Agreement > 0 {
			wait, cancel := context.WithTimeout(ctx, r.Agreement)
			_ = r.View.WaitConverged(wait) // the worker begins also without agreement: no worker would not be better
			cancel()
		}
		if ctx.Err() == nil {
			r.Job(ctx, partition, r.View.Ring().Placement(partition).Token())
		}
	})
	return w
}
