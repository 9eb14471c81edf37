package cluster

import (
	"context"
	"time"

	"github.com/clusterkit/clusterkit/membership"
)

// Stop leaves the cluster and closes everything that it opened, in these steps:
//
//  1. This member becomes unready, and announces that it is leaving. With a RestartGrace, a
//     member that owns partitions announces that it is away instead.
//  2. It gives the other members up to two seconds to agree on that.
//  3. It finishes the HTTP requests in flight, leaves, and closes its addresses.
//
// When the context ends first, Stop does the remaining steps without waiting.
//
// Stop may be called any number of times, also before or during Start. Every call returns nil when
// everything is released in time, and calls of a [Mover] have returned. When its context ends first, it waits up to a
// second until the addresses are free, and returns the context's error. A cluster that was stopped cannot be started
// again. Lookups still answer from the last ring.
//
// Stop waits for requests that this member serves, and for calls of a Mover. So these must not wait for Stop.
func (c *Cluster) Stop(ctx context.Context) error {
	c.leaving.Store(true)
	c.mu.Lock()
	c.up = false
	c.mu.Unlock()
	err := c.life.Stop(ctx, func(ctx context.Context, started bool) {
		defer c.events.close()
		defer c.closeHTTP()
		if started {
			c.release(ctx, ctx, leaveAgreement)
		} else {
			_ = c.members.Stop(context.WithoutCancel(ctx)) // a cluster that was not started stops at once, so the context is not needed
		}
		c.changed.Signal()
	})
	if err != nil {
		c.life.Linger()
	}
	return err
}

// leaveAgreement is how long the others get to agree that a member that stops
// is leaving, so that requests go elsewhere before its doors close.
const leaveAgreement = 2 * time.Second

// release ends everything that Start began. It waits for requests over HTTP until the context requests ends.
func (c *Cluster) release(ctx, requests context.Context, agreement time.Duration) {
	c.mu.Lock()
	server, cancel := c.server, c.cancel
	c.server, c.cancel, c.up = nil, nil, false
	c.mu.Unlock()
	if cancel != nil && agreement > 0 && membership.Drive(c.members).Depart(ctx) == nil {
		wait, done := context.WithTimeout(ctx, agreement)
		_ = c.waitConverged(wait) // members that do not agree in time learn of the leave from memberlist
		done()
	}
	if server != nil {
		if err := server.Shutdown(requests); err != nil {
			c.settings.Logger.Warn("closing the HTTP server failed", "error", err)
		}
	}
	if c.handoff != nil {
		c.handoff.close()
	}
	_ = c.members.Stop(ctx) // Stop returns only the error of the context, which shortens its waits
	_ = c.members.Stop(context.WithoutCancel(ctx))
	if cancel != nil {
		cancel()
	}
	c.done.Wait()
	if c.handoff != nil {
		c.handoff.tasks.Wait()
	}
}
