package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
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
// While the cluster runs a configuration in which handoff is off, steps 3 and 5 are left out.
//
// Then it returns nil. This member still answers lookups and routes requests. [Cluster.Stop] ends
// it, and [Cluster.Resume] takes it back into ownership. Drain may be called again after an error,
// and goes on. It returns an error that says so when Resume is called meanwhile.
//
// It returns [ErrNotStarted] or [ErrStopped]; a [NotConvergedError] that names the members that
// have not confirmed, when the context ends in step 2 or 4; and a [NotHandedOverError] when it
// ends in step 3 or 5, or when handoff is turned off in these steps. After the latter this member
// keeps what it has, and health says so where handoff is on. To call Stop then is to give that up.
//
// When all other owners are draining as well, no member can take over. After two seconds without
// a member that joins or stays the error wraps [ErrNoSuccessor], and at once when this member is
// alone from the beginning. This member goes on serving: call Stop to give up what it has, or
// Drain again when another member has come.
func (c *Cluster) Drain(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	grace := drainGrace
	if !c.others(membership.Joining, membership.Active, membership.Away, membership.Draining) {
		grace = 0
	}
	ctx, end := c.service.begin(ctx)
	defer end()
	err := c.drain(ctx, grace)
	if errors.Is(context.Cause(ctx), errResumed) {
		return fmt.Errorf("cluster: draining: %w", errResumed)
	}
	return err
}

func (c *Cluster) drain(ctx context.Context, grace time.Duration) error {
	held := 0 // what is to be handed over; none where handoff is off
	if c.handoff != nil {
		c.handoff.is(func(m *handoff.Machine) bool { held = m.Summary().Held; return true })
	}
	for _, state := range []membership.State{membership.Draining, membership.Leaving} {
		now := c.members.Local().State
		if state == membership.Draining && now != membership.Active && now != membership.Draining {
			continue // it owns nothing
		}
		if err := c.leave(ctx, state); err != nil {
			return fmt.Errorf("cluster: draining: %w", err)
		}
		if err := c.WaitConverged(ctx); err != nil {
			return err
		}
		if c.handoff != nil {
			switch err := c.drained(ctx, state, grace); {
			case err == nil:
				held = 0
			case !errors.Is(err, errTurnedOff):
				return err
			case held > 0:
				return &NotHandedOverError{Held: held, Handoff: c.handoff.state(time.Now()), Err: errTurnedOff}
			}
		}
	}
	return nil
}

// drainGrace is how long a draining member waits for a member that stays when all owners drain.
const drainGrace = 2 * time.Second

// drained waits until nothing keeps this member from going on from a state, or all owners have been
// draining for the grace, or handoff is off.
func (c *Cluster) drained(ctx context.Context, state membership.State, grace time.Duration) error {
	done, off, held := false, false, 0
	var abandoned time.Time // since when no owner stays; zero: one does
	err := c.handoff.await(ctx, func(m *handoff.Machine) bool {
		sum := m.Summary()
		if done, off, held = sum.Bare, m.Off(), sum.Held; state == membership.Draining {
			done = sum.HandedOver
		}
		switch {
		case done, off:
			return true
		case !m.Departing() || c.others(membership.Joining, membership.Active, membership.Away):
			abandoned = time.Time{}
			return false
		case abandoned.IsZero() && grace > 0 && (state != membership.Draining || !c.others(membership.Draining, membership.Leaving)):
			return false // a member that is gone without a word may come back
		case abandoned.IsZero():
			abandoned = time.Now()
			time.AfterFunc(grace, c.handoff.changed.Signal)
		}
		return time.Since(abandoned) >= grace
	})
	switch {
	case off:
		return errTurnedOff
	case done || err != nil && held == 0 && state == membership.Leaving:
		return nil // in the second case all is released, and not every owner could be told
	case err == nil:
		err = ErrNoSuccessor
	}
	return &NotHandedOverError{Held: held, Handoff: c.handoff.state(time.Now()), Err: err}
}

// ErrNoSuccessor says that no other member is there that could own what this one
// has.
var ErrNoSuccessor = errors.New("cluster: no other member is there to hand over to")

// errTurnedOff says that the cluster has changed to a configuration without a handoff.
var errTurnedOff = errors.New("cluster: handoff was turned off meanwhile")

// NotHandedOverError says that [Cluster.Drain] ended before everything was handed
// over.
type NotHandedOverError struct {
	// Held counts the partitions that this member still has and others lack, or
	// are not known to have.
	Held int
	// Handoff is how far it was.
	Handoff HandoffState
	// Err is why waiting ended: the context's error, [ErrStopped], [ErrNoSuccessor], or an
	// error that says that handoff was turned off.
	Err error
}

// Error says how much is left.
func (e *NotHandedOverError) Error() string {
	return fmt.Sprintf("cluster: not handed over: %v: %d partitions are held here that others may not have, %d calls failed so far",
		e.Err, e.Held, e.Handoff.Failed)
}

// Unwrap returns why waiting ended.
func (e *NotHandedOverError) Unwrap() error { return e.Err }

// others reports whether there is another member in one of some states.
func (c *Cluster) others(states ...membership.State) bool {
	return slices.ContainsFunc(c.view.Load().Members, func(m membership.Member) bool {
		return m.ID != c.settings.NodeID && slices.Contains(states, m.State)
	})
}
