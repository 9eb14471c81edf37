package cluster

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
)

// begin runs a job in the background. The lock is held.
func (h *handoffRun) begin(job *handoffJob) {
	ctx, cancel := context.WithTimeout(h.life, h.options.CallLimit)
	h.cancels[job.id] = cancel
	h.tasks.Go(func() {
		defer cancel()
		err := h.call(ctx, job)
		h.drive(func(now time.Time) {
			delete(h.cancels, job.id)
			if over := h.core.done(job.part, job.id, err, now); err != nil && !over {
				h.failed++
				h.c.settings.Logger.Warn("handing over", "partition", job.part, "error", err)
				h.c.events.add(h.event(HandoffFailed, now, job.part, err))
			}
		})
	})
}

// call runs the user's code and contains what it does.
func (h *handoffRun) call(ctx context.Context, job *handoffJob) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			h.c.settings.Logger.Error("handoff panicked", "partition", job.part, "panic", v, "stack", string(debug.Stack()))
		}
		if err != nil {
			err = fmt.Errorf("cluster: %v: %w", job, err)
		}
	}()
	if job.record != nil {
		// Before a release, too: what is thrown away must not seem to be here.
		err := h.options.Journal.Save(ctx, journalKey(job.part), job.record)
		if err != nil || job.recording {
			return err
		}
	}
	if job.release {
		return h.user.Release(ctx, job.part)
	}
	v := h.c.view.Load()
	from := make([]Member, 0, len(job.sources))
	for _, s := range job.sources {
		if m, ok := v.Member(s.id); ok && view.Origin(m) == s.start {
			from = append(from, m)
		}
	}
	if len(from) < job.need {
		return fmt.Errorf("%d of %d sources are there", len(from), job.need)
	}
	return h.user.Receive(ctx, job.part, from, job.need)
}
