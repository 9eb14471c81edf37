package main

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

// Job does the work of one partition until its context ends, and returns soon
// after that: the next owner may be at it already. The token is that of the
// partition's owners as this member saw them when the job began.
//
// A job must bear that another member does the same work at the same time; see
// [Steps] for a way.
type Job func(ctx context.Context, partition int, token ring.Token)

// view is what a Runner asks the cluster: a *cluster.Cluster.
type view interface {
	Ring() *ring.Ring
	Health() cluster.Health
	WaitConverged(ctx context.Context) error
}

// Runner runs a worker for every partition whose primary this member is, for as
// long as it is. It is no lock: while members' views differ, for a moment after
// a change and for as long as a network is split, a partition may have two
// workers, or none.
type Runner struct {
	View view
	Job  Job
	// Agreement is how long to wait at most, before new workers begin, for all
	// members to agree on who owns what. That makes two at once rarer, not
	// impossible, and every beginning later. Zero: begin at once.
	Agreement time.Duration

	workers map[int]*worker // by partition, also those told to stop
	running sync.WaitGroup
}

// worker is a goroutine that runs the job of a partition.
type worker struct {
	stop    context.CancelFunc
	stopped bool // told to
	ended   chan struct{}
}

// Run follows the events of a cluster until they end, and returns when all
// workers have. Subscribe before the cluster starts, and call Run once.
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

// reconcile starts and stops workers, until the ones that run are the ones that should. An event says when to
// look, not what to do: what should run is read from the ring as it is now, so
// that nothing missed or mistaken earlier is carried on.
//
// A member that is not ready runs nothing: it leaves, most of the others do not
// answer it, or another process has its NodeID.
func (r *Runner) reconcile(ctx context.Context) {
	now, health := r.View.Ring(), r.View.Health()
	mine := func(partition int) bool {
		primary, ok := now.Placement(partition).Primary()
		return ok && health.Ready && primary.ID() == health.NodeID
	}
	for partition, w := range r.workers { // first of all, what others begin now
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

// begin starts a worker. It waits for the one before it, of the same partition,
// so that there are never two in one process.
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
			_ = r.View.WaitConverged(wait) // without it we begin all the same: no worker is no better
			cancel()
		}
		if ctx.Err() == nil {
			r.Job(ctx, partition, r.View.Ring().Placement(partition).Token())
		}
	})
	return w
}
