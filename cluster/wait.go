package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// NotReadyError says that waiting for readiness ended before it came.
type NotReadyError struct {
	// Problems are the problems that made this member unready when waiting ended.
	Problems []api.Problem
	// Err is why waiting ended: the context's error, [ErrStopped], or the error of
	// Start.
	Err error
}

// Error names the problems.
func (e *NotReadyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: not ready: %v", e.Err)
	for i, p := range e.Problems {
		b.WriteString([]string{": ", "; "}[min(i, 1)] + p.Message)
	}
	return b.String()
}

// Unwrap returns why waiting ended.
func (e *NotReadyError) Unwrap() error { return e.Err }

// WaitReady returns nil once this member is ready: it owns partitions, or it is an observer, and
// nothing else makes it unready. Otherwise it returns a [NotReadyError] when the context ends,
// when starting fails, or while this member leaves. It may be called before Start. To learn of
// each change instead of waiting once, follow the event [StateChanged].
func (c *Cluster) WaitReady(ctx context.Context) error {
	if err := checkContext(ctx, "waiting until this member is ready"); err != nil {
		return err
	}
	for {
		changed := c.changed.Wait()
		h := c.Health()
		if h.Ready {
			return nil
		}
		give := func(err error) error {
			e := &NotReadyError{Err: err}
			for _, p := range h.Problems {
				if p.Unready {
					e.Problems = append(e.Problems, p)
				}
			}
			return e
		}
		if err := c.check(); err != nil && !errors.Is(err, ErrNotStarted) {
			return give(err)
		}
		if h.State == membership.Leaving.String() {
			return give(ErrStopped) // without waiting for a call of Resume
		}
		select {
		case <-changed:
		case <-ctx.Done():
			h = c.Health()
			return give(ctx.Err())
		}
	}
}

// NotConvergedError says that waiting for agreement ended before it came.
type NotConvergedError struct {
	// Differing are the members that have not confirmed this member's view, each with
	// its reason if it gave one.
	Differing []api.Differing
	// Err is why waiting ended: the context's error or [ErrStopped].
	Err error
}

// Error names the members that differ.
func (e *NotConvergedError) Error() string {
	if len(e.Differing) == 0 {
		return fmt.Sprintf("cluster: not converged: %v: the view is still changing", e.Err)
	}
	return fmt.Sprintf("cluster: not converged: %v: %s", e.Err, describe(e.Differing))
}

// Unwrap returns why waiting ended.
func (e *NotConvergedError) Unwrap() error { return e.Err }

// WaitConverged returns nil once every other member is known to hold this member's
// view: the same members in the same states, the same configuration, the same ring.
// Every other member means every member that this one believes alive and that can run
// the configuration in use. WaitConverged says nothing about members that this one does
// not know, and does not wait for news that has not arrived here. It returns
// [ErrNotStarted] or [ErrStopped], or a [NotConvergedError] when the context ends or
// Stop begins.
func (c *Cluster) WaitConverged(ctx context.Context) error {
	if err := c.checkCall(ctx, "waiting until all members agree"); err != nil {
		return err
	}
	return c.waitConverged(ctx)
}

func (c *Cluster) waitConverged(ctx context.Context) error {
	for {
		changed, agreed := c.changed.Wait(), membership.Drive(c.members).Agreed()
		select {
		case <-agreed:
			// Members have agreed: now, or on a view that this or some member has replaced.
			// The channel must be looked at before the state. Otherwise members that agree
			// between the two would wake no one.
			agreed = nil
		default:
		}
		agreement, current := c.agreed()
		if current && agreement.complete {
			return nil
		}
		select {
		case <-agreed:
		case <-changed:
		case <-c.life.Stopped():
			return c.notConverged(ErrStopped)
		case <-ctx.Done():
			return c.notConverged(ctx.Err())
		}
	}
}

// notConverged returns the error with the members that differ now, at the end of the wait.
func (c *Cluster) notConverged(err error) error {
	e := &NotConvergedError{Err: err}
	if agreement, current := c.agreed(); current {
		e.Differing = agreement.differing
	}
	return e
}
