package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
)

// Start binds the addresses and joins the cluster. It blocks until one of these is true:
//
//   - This member has joined, and can look keys up. Start returns nil.
//   - Seeds and Discovery name no other member, or none of them has answered within
//     Bootstrap.Timeout. This member keeps looking in the background. Whether it owns partitions
//     alone meanwhile is said by [BootstrapOptions]: where it must not, it is not ready, and
//     health says what it waits for. Start returns nil.
//   - The cluster refuses this member. Start returns a [membership.RefusedError] or a
//     [membership.ConfigurationError], which say what differs.
//   - The context ends, Stop begins, or the network fails. Start returns the context's error,
//     [ErrStopped], or the error of the network.
//
// After an error nothing is left running: make another Cluster to try again. What cannot be released within a second
// after the end of the context is released in the background, and Stop waits for it. A cluster starts
// once. Further calls wait for the first one, as long as their context lasts, and return the
// same error.
func (c *Cluster) Start(ctx context.Context) error {
	return c.life.Start(ctx, func(ctx context.Context) error {
		err := c.start(ctx)
		c.mu.Lock()
		c.err, c.up = err, err == nil
		c.mu.Unlock()
		c.changed.Signal()
		c.recheck <- struct{}{} // never blocks: the channel has room for its only value
		return err
	})
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.handoff != nil {
		err = c.handoff.resume(ctx)
	}
	if err == nil {
		err = c.listen(ctx)
	}
	if err == nil {
		c.startLoop()
		err = c.join(ctx)
	}
	if err == nil {
		c.settings.Logger.Info("cluster member started", "cluster", c.settings.ClusterName, "node", c.settings.NodeID,
			"gossip", c.members.Local().Addr, "members", len(c.view.Load().Members))
		return nil
	}
	c.abandon(ctx)
	if errors.Is(context.Cause(ctx), ErrStopped) {
		return ErrStopped
	}
	return err
}

// abandon ends everything that a start which failed has begun. It waits for requests over HTTP only a moment, and returns
// a second after the end of the context at the latest. Stop waits for the rest.
func (c *Cluster) abandon(ctx context.Context) {
	c.life.Undo(ctx, func() {
		moment, cancel := context.WithTimeout(ctx, lifecycle.Grace)
		defer cancel()
		c.release(context.WithoutCancel(ctx), moment, 0)
		c.closeHTTP()
	})
}

func (c *Cluster) startLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	c.done.Go(func() { c.run(ctx) })
}

func (c *Cluster) join(ctx context.Context) error {
	if err := c.members.Start(ctx); err != nil {
		if differ, ok := errors.AsType[*membership.ConfigurationError](err); ok && differ.Field == "Configurations" {
			return fmt.Errorf("cluster: %w: list the old configuration in AlsoRuns, and where the names of one side have no w, with HandoffOff", err)
		}
		return fmt.Errorf("cluster: %w", err)
	}
	if err := c.announceHTTP(ctx); err != nil {
		return err
	}
	now := time.Now()
	c.joined.Store(&now)
	if c.handoff != nil {
		c.handoff.listen()
	}
	c.settled.Store(true)
	done := make(chan struct{})
	select {
	case c.refresh <- done:
	case <-ctx.Done():
		return fmt.Errorf("cluster: starting: %w", context.Cause(ctx))
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: starting: %w", context.Cause(ctx))
	}
}
