package cluster

import (
	"context"
	"time"

	"github.com/clusterkit/clusterkit/membership"
)

// Stop leaves the cluster and releases everything, in this order: this member becomes unready,
// announces that it is leaving, gives the other members a moment to agree, finishes the HTTP
// requests in flight, leaves, and closes its addresses. A member that owns and has a RestartGrace
// announces that it is away instead. When the context ends first, Stop goes on without further
// waits.
//
// Stop may be called any number of times, also before or during Start. Every call returns nil
// when everything is released in time. When its context ends first, it gives the addresses a second
// to be free, which they are unless a call of a [Mover] does not end, and returns the context's
// error. A cluster that was stopped cannot be started again. Lookups go on answering from the last
// ring.
func (c *Cluster) Stop(ctx context.Context) error {
	c.leaving.Store(true)
	c.mu.Lock()
	c.up = false
	c.mu.Unlock()
	err := c.life.Stop(ctx, func(ctx context.Context, started bool) {
		defer c.events.close()
		defer c.closeHTTP()
		if started {
			c.release(ctx, leaveAgreement)
		} else {
			_ = c.members.Stop(context.WithoutCancel(ctx)) // it was not started: nothing to wait for
		}
		c.changed.Signal()
	})
	if err != nil {
		limit := time.NewTimer(releaseWait)
		defer limit.Stop()
		select {
		case <-c.life.Stopped():
		case <-limit.C:
		}
	}
	return err
}

// releaseWait is how long Stop waits for the addresses to be free when its context has ended.
const releaseWait = time.Second

// leaveAgreement is how long the others get to agree that a member that stops
// is leaving, so that requests go elsewhere before its doors close.
const leaveAgreement = 2 * time.Second

// release ends everything that start began.
func (c *Cluster) release(ctx context.Context, agreement time.Duration) {
	c.mu.Lock()
	server, cancel := c.server, c.cancel
	c.server, c.cancel, c.up = nil, nil, false
	c.mu.Unlock()
	if cancel != nil && agreement > 0 && membership.Drive(c.members).Depart(ctx) == nil {
		wait, done := context.WithTimeout(ctx, agreement)
		_ = c.waitConverged(wait) // they will learn it from the leave itself
		done()
	}
	if server != nil {
		if err := server.Shutdown(ctx); err != nil {
			c.settings.Logger.Warn("closing HTTP", "error", err)
		}
	}
	if c.handoff != nil {
		c.handoff.close()
	}
	_ = c.members.Stop(ctx) // its error is the context's, with which it cuts its waits short
	_ = c.members.Stop(context.WithoutCancel(ctx))
	if cancel != nil {
		cancel()
	}
	c.done.Wait()
}
