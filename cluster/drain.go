package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clusterkit/clusterkit/membership"
)

// Drain takes this member out of service, in these steps:
//
//  1. It announces that it is draining. What it owns gets other owners.
//  2. It waits until all members agree on that.
//  3. With a [Mover] it waits until each owner to come has received what this member serves.
//  4. It announces that it is leaving, and waits until all members agree on that.
//  5. With a [Mover] it waits until this member has released everything, and the other owners
//     know that nothing is left here.
//
// Then it returns nil. This member still answers lookups, and [Cluster.Stop] ends it. There is
// no way back to owning. Drain may be called again after an error, and goes on.
//
// It returns [ErrNotStarted] or [ErrStopped]; a [NotConvergedError] that names the members that
// have not confirmed, when the context ends in step 2 or 4; and a [NotHandedOverError] when it
// ends in step 3 or 5. After the latter this member keeps what it has and health says so. To
// call Stop then is to give that up.
//
// While all other owners are draining as well, no member can take over. Each of them serves, and
// waits for a member that stays. A member without any other from the beginning does not wait:
// the error wraps [ErrNoSuccessor].
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
