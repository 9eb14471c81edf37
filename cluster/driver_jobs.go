package cluster

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
)

// begin runs a job in the background. The lock is held.
func (d *driver) begin(job handoff.Job) {
	ctx, cancel := context.WithTimeout(d.life, d.options.CallLimit)
	d.cancels[job.ID] = cancel
	d.tasks.Go(func() {
		defer cancel()
		err := d.call(ctx, job)
		d.mu.Lock()
		delete(d.cancels, job.ID)
		if err == nil {
			d.clock.alarms.Succeeded(job.Partition)
		}
		d.mu.Unlock()
		if stale := d.drive(handoff.Ended{Partition: job.Partition, ID: job.ID, Failed: err != nil}); err != nil && !stale {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.report.failed++
			d.c.settings.Logger.Warn("handing over", "partition", job.Partition, "error", err)
			d.c.events.add(d.event(HandoffFailed, time.Now(), job.Partition, err))
		}
	})
}

// call runs the user's code and contains what it does.
func (d *driver) call(ctx context.Context, job handoff.Job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			d.c.settings.Logger.Error("handoff panicked", "partition", job.Partition, "panic", v, "stack", string(debug.Stack()))
		}
		if err != nil {
			err = fmt.Errorf("cluster: %v: %w", job, err)
		}
	}()
	if job.Record != nil {
		// Before a release, too: what is deleted must not seem to be here.
		if err := d.options.Journal.Save(ctx, journalKey(job.Partition), job.Record); err != nil {
			return err
		}
	}
	switch job.Kind {
	case handoff.Save:
		return nil
	case handoff.Release:
		return d.user.Release(ctx, job.Partition)
	}
	v := d.c.view.Load()
	from := make([]Member, 0, len(job.Sources))
	for _, s := range job.Sources {
		if m, ok := v.Member(s.ID); ok && view.Origin(m) == s.Start {
			from = append(from, m)
		}
	}
	if len(from) < job.Need {
		return fmt.Errorf("%d of %d sources are there", len(from), job.Need)
	}
	return d.user.Receive(ctx, job.Partition, from, job.Need)
}

// progressInterval is how often progress is reported at most.
const progressInterval = time.Second

// handoffReport is what the driver shows of the machine. Its lock is the driver's.
type handoffReport struct {
	moving map[int]moving // partitions that are on their way
	counts [4]int         // partitions by phase
	failed uint64         // calls that failed
	told   struct {       // what subscribers have been told
		busy bool
		at   time.Time
		done uint64 // calls that had succeeded
	}
}

// moving is how a partition is on its way.
type moving struct {
	phase handoff.Phase
	since time.Time
	lost  bool
}

// show puts how this member stands with a partition where writers, readers and health see it. The
// lock is held.
func (d *driver) show(p int, now time.Time) {
	r, st := &d.report, d.machine.Standing(p)
	d.gates[p].set(st.Token, st.Owner, st.Accepts, st.Ready())
	was, known := r.moving[p]
	if !known && st.Phase == handoff.Still {
		return
	}
	r.counts[was.phase]--
	r.counts[st.Phase]++
	next := moving{st.Phase, was.since, st.Lost}
	if was.phase != next.phase {
		next.since = now
	}
	if r.moving[p] = next; next.phase == handoff.Still {
		if delete(r.moving, p); len(r.moving) == 0 {
			r.moving = make(map[int]moving) // a map keeps the room that it once needed
		}
	}
}

// event makes an event. The lock is held.
func (d *driver) event(kind EventKind, now time.Time, p int, err error) Event {
	state := d.stateLocked(now)
	return Event{Kind: kind, At: now, Handoff: &state, Partition: p, Err: err}
}

// tell tells subscribers what is new. The lock is held.
func (d *driver) tell(now time.Time) {
	told, totals := &d.report.told, d.machine.Totals()
	busy, done := d.report.counts[handoff.Receiving]+d.report.counts[handoff.Releasing] > 0, totals.Received+totals.Released
	switch {
	case busy && !told.busy:
		d.c.events.add(d.event(HandoffStarted, now, 0, nil))
	case !busy && told.busy:
		d.c.events.add(d.event(HandoffCompleted, now, 0, nil))
	case busy && done != told.done && now.Sub(told.at) >= progressInterval:
		d.c.events.add(d.event(HandoffProgressed, now, 0, nil))
	default:
		return
	}
	told.busy, told.at, told.done = busy, now, done
	if !busy {
		select {
		case d.c.advance <- struct{}{}: // joining may be over
		default:
		}
	}
}
