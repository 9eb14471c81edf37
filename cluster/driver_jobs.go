package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership/usercode"
)

// running is a job whose call has not returned.
type running struct {
	begun  time.Time
	cancel context.CancelFunc
}

// begin runs a job in the background. The lock is held.
func (d *driver) begin(job handoff.Job) {
	ctx, cancel := context.WithTimeout(d.life, d.options.CallLimit)
	d.jobs[job.ID] = running{time.Now(), cancel}
	d.tasks.Go(func() {
		defer cancel()
		usercode.Run(func() error { return d.call(ctx, job) }, func(err error) {
			if err != nil {
				logPanic(d.c.settings.Logger, err)
				err = fmt.Errorf("cluster: %v: %w", job, err)
			}
			d.ended(job, err)
		})
	})
}

// ended gives the machine the end of a job, and reports an error.
func (d *driver) ended(job handoff.Job, err error) {
	d.mu.Lock()
	delete(d.jobs, job.ID)
	if err == nil {
		d.clock.Reset(handoff.Timer{Partition: job.Partition, Kind: handoff.Retry})
	}
	d.mu.Unlock()
	if stale := d.drive(handoff.Ended{Partition: job.Partition, ID: job.ID, Failed: err != nil}); err != nil && !stale {
		d.mu.Lock()
		d.report.failed++
		d.report.failure, d.report.failedAt = err, time.Now()
		d.c.events.add(d.event(HandoffFailed, time.Now(), job.Partition, err))
		d.mu.Unlock()
		d.c.settings.Logger.Warn("a call of the Mover or the Journal failed", "partition", job.Partition, "error", err) // its handler may ask for the state
	}
}

// logPanic logs where the user's code panicked.
func logPanic(log *slog.Logger, err error) {
	if p, ok := errors.AsType[*usercode.Error](err); ok && p.Panic != nil {
		log.Error("a call of the Mover or the Journal panicked", "panic", p.Panic, "stack", p.Stack)
	}
}

// call runs the user's code.
func (d *driver) call(ctx context.Context, job handoff.Job) error {
	if job.Record != nil {
		// Before a release, too: after a restart, deleted data must not count as data.
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
