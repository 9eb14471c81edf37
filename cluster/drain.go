package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Drain takes this member out of service, in these steps:
//
//  1. It announces that it is draining. Its partitions get other owners.
//  2. It waits until all members agree on that.
//  3. With a [Mover] it waits until each target owner has received the partitions that this
//     member serves.
//  4. It announces that it is leaving, and waits until all members agree on that.
//  5. With a [Mover] it waits until it has released all partitions, and the other owners know
//     that it holds no data any more.
//
// While the cluster runs a configuration in which handoff is off, steps 3 and 5 are left out.
//
// Then Drain returns nil. This member still answers lookups and routes requests. [Cluster.Stop]
// ends it, and [Cluster.Resume] takes it back into ownership. After an error Drain may be called
// again, and continues. When Resume is called meanwhile, Drain returns an error that says so.
//
// Drain returns [ErrNotStarted] or [ErrStopped]. It returns a [NotConvergedError] that names the
// members that have not confirmed, when the context ends in step 2 or 4. It returns a
// [NotHandedOverError] when the context ends in step 3 or 5, or when handoff is turned off in
// these steps. After a NotHandedOverError this member keeps the data that it has, and where
// handoff is on its health says so. To call Stop then is to give that data up.
//
// When all other owners are draining as well, no member can take over. After two seconds without
// a member that joins or stays, the error wraps [ErrNoSuccessor]. A member that was alone when
// Drain was called gets that error at once. It goes on serving: call Stop to give up its data,
// or Drain again when another member has joined.
func (c *Cluster) Drain(ctx context.Context) error {
	if err := c.checkCall(ctx, "draining"); err != nil {
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
	held := 0 // the partitions to hand over; none where handoff is off
	if c.handoff != nil {
		c.handoff.is(func(m *handoff.Machine) bool { held = m.Summary().Held; return true })
	}
	for _, state := range []membership.State{membership.Draining, membership.Leaving} {
		now := c.members.Local().State
		if state == membership.Draining && now != membership.Active && now != membership.Draining {
			continue // this member owns nothing
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
				return c.handoff.notHandedOver(held, errTurnedOff)
			}
		}
	}
	return nil
}

// drainGrace is how long a draining member waits for a member that stays when all owners drain.
const drainGrace = 2 * time.Second

// drained waits until this member may go on to the state after the one given, or all owners have
// been draining for the grace, or handoff is off.
func (c *Cluster) drained(ctx context.Context, state membership.State, grace time.Duration) error {
	done, off, held := false, false, 0
	var abandoned time.Time // since when all owners drain; zero: at least one stays
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
			return false // a member that is gone without announcing it may come back
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
		return nil // in the second case all data is released, and some owner could not be told
	case err == nil:
		err = ErrNoSuccessor
	}
	return c.handoff.notHandedOver(held, err)
}

func (d *driver) notHandedOver(held int, err error) error {
	now := time.Now()
	return &NotHandedOverError{Held: held, Handoff: d.state(now), Err: err, causes: d.causes(now, time.Second)}
}

// ErrNoSuccessor says that there is no other member that could take over the partitions
// of this one. [Cluster.Drain] returns it within a [NotHandedOverError].
var ErrNoSuccessor = errors.New("cluster: there is no other member to hand over to")

// errTurnedOff says that the cluster has changed to a configuration without a handoff.
var errTurnedOff = errors.New("cluster: handoff was turned off meanwhile")

// NotHandedOverError says that [Cluster.Drain] ended before all data was handed over.
type NotHandedOverError struct {
	// Held counts the partitions that this member still holds and that other members
	// lack, or are not known to have.
	Held int
	// Handoff is the state of handoff at the end.
	Handoff api.HandoffState
	// Err is why waiting ended: the context's error, [ErrStopped], [ErrNoSuccessor], or an
	// error that says that handoff was turned off.
	Err error

	causes string // what kept the partitions moving
}

// Error says how many partitions are left, why waiting ended, how the last call of the [Mover] or the [Journal]
// failed, and how many calls do not return.
func (e *NotHandedOverError) Error() string {
	return fmt.Sprintf("cluster: not handed over: %v: %d partitions are here that other members may lack, %s",
		e.Err, e.Held, cmp.Or(e.causes, fmt.Sprintf("%d calls failed so far", e.Handoff.Failed)))
}

// Unwrap returns why waiting ended.
func (e *NotHandedOverError) Unwrap() error { return e.Err }

// others reports whether another member is in one of the given states.
func (c *Cluster) others(states ...membership.State) bool {
	return slices.ContainsFunc(c.view.Load().Members, func(m membership.Member) bool {
		return m.ID != c.settings.NodeID && slices.Contains(states, m.State)
	})
}
