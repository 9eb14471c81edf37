package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clusterkit/clusterkit/membership"
)

// Drain takes this member out of service and returns when everybody has seen
// it: it announces that it is draining, which gives what it owns to others,
// waits until all members agree on that, announces that it is leaving, and
// waits again. It then still answers lookups; Stop ends it. There is no way
// back. When the context ends first, Drain returns a [NotConvergedError] that
// names who has not confirmed; the member stays in the state it has reached
// and Drain may be called again.
//
// With a [Mover] it also waits, before it announces that it is leaving,
// until each owner to come has received what this member serves, and at the end
// until this member has been told to release all that it had, and the other owners
// have heard that nothing is left here. When the context ends before all is released
// it returns a [NotHandedOverError], never nil: this member keeps what it has,
// health says so, and to call Stop then is to give it up. As long as all others that
// own are draining as well, there is nobody to hand over to: each waits for a member
// that stays, and serves. One that is alone to begin with does not wait; its error
// wraps [ErrNoSuccessor].
func (c *Cluster) Drain(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	alone := !c.succeeded()
	for _, state := range []membership.State{membership.Draining, membership.Leaving} {
		now := c.members.Local().State
		if state == membership.Draining && now != membership.Active && now != membership.Draining {
			continue // it owns nothing
		}
		if err := membership.Drive(c.members).SetState(ctx, state); err != nil {
			return fmt.Errorf("cluster: draining: %w", err)
		}
		if err := c.WaitConverged(ctx); err != nil {
			return err
		}
		if c.handoff != nil {
			if err := c.handoff.drained(ctx, state, alone); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrNoSuccessor says that no other member is there that could own what this one
// has.
var ErrNoSuccessor = errors.New("cluster: no other member is there to hand over to")

// NotHandedOverError says that [Cluster.Drain] ended before everything was handed
// over.
type NotHandedOverError struct {
	// Held counts the partitions that this member still has and others lack, or
	// are not known to have.
	Held int
	// Handoff is how far it was.
	Handoff HandoffState
	// Err is why waiting ended: the context's error, [ErrStopped], or
	// [ErrNoSuccessor].
	Err error
}

// Error says how much is left.
func (e *NotHandedOverError) Error() string {
	return fmt.Sprintf("cluster: not handed over: %v: %d partitions are held here that others may not have, %d calls failed so far",
		e.Err, e.Held, e.Handoff.Failed)
}

// Unwrap returns why waiting ended.
func (e *NotHandedOverError) Unwrap() error { return e.Err }

// succeeded reports whether there is another member that owns, or will.
func (c *Cluster) succeeded() bool {
	return slices.ContainsFunc(c.view.Load().Members, func(m membership.Member) bool {
		return m.ID != c.settings.NodeID && (m.State == membership.Joining || m.State == membership.Active || m.State == membership.Draining)
	})
}
