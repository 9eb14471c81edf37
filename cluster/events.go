package cluster

import (
	"context"
	"iter"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// EventKind says which thing changed in which way.
type EventKind uint8

// The kinds of events, each with the field of [Event] that holds the change.
const (
	// MemberJoined: a member appeared that was not known before.
	MemberJoined EventKind = iota + 1
	// MemberUpdated: a member announced a change of its metadata, weight, address or
	// state; for example that it is away. It also comes when a member that is away has
	// left, and when a member that has failed keeps its place because its zone is lost: then
	// After.Until is set.
	MemberUpdated
	// MemberLeaving: a member announced that it is about to leave.
	MemberLeaving
	// MemberLeft: a member that had announced that it leaves is gone.
	MemberLeft
	// MemberFailed: a member is gone that had not announced that it leaves, or was away for
	// longer than its RestartGrace or ZoneGrace.
	MemberFailed
	// MemberRejoined: a member is back after it was gone, or a new start of its NodeID
	// took over.
	MemberRejoined
	// RingChanged: lookups answer from another ring, or it has another target.
	RingChanged
	// StateChanged: this member announced another state of its own. When After.State is
	// active it has become an owner; draining: it hands its partitions over; leaving: it
	// owns nothing any more. The RingChanged that follows from it comes later.
	StateChanged
	// HealthChanged: this member became ready or unready, or has other
	// problems.
	HealthChanged
	// HandoffStarted: partitions have begun to move to or from this member.
	HandoffStarted
	// HandoffProgressed: some partitions have been received or released. It comes once
	// a second at most.
	HandoffProgressed
	// HandoffCompleted: no partition is moving to or from this member any more. Other
	// members may still merge data that it has; see [api.HandoffState].Sharing.
	HandoffCompleted
	// HandoffFailed: a call of the [Mover] or [Journal] failed. The call is made again.
	HandoffFailed
)

var kindNames = [...]string{
	MemberJoined: "member-joined", MemberUpdated: "member-updated", MemberLeaving: "member-leaving", MemberLeft: "member-left",
	MemberFailed: "member-failed", MemberRejoined: "member-rejoined", RingChanged: "ring-changed",
	StateChanged: "state-changed", HealthChanged: "health-changed",
	HandoffStarted: "handoff-started", HandoffProgressed: "handoff-progressed", HandoffCompleted: "handoff-completed", HandoffFailed: "handoff-failed",
}

// String returns the kind in lower case.
func (k EventKind) String() string {
	if k < MemberJoined || k > HandoffFailed {
		return "unknown"
	}
	return kindNames[k]
}

// Event is one change, as [Cluster.Events] delivers it. Exactly one of Member, Ring,
// Health and Handoff is set. The values that they point to must not be modified.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// At is when this process learned of the change, by its own clock.
	At time.Time
	// Folded counts the earlier events about the same thing that this one stands for as
	// well, because the subscriber was slow. Before and Old are as they were before the
	// first of those events.
	Folded int

	// Member is the change of a member. For StateChanged it is that of this member.
	Member *MemberChange
	// Ring is the change of the ring.
	Ring *RingChange
	// Health is the change of this member's health.
	Health *HealthChange
	// Handoff is how far this member is with moving partitions at the time of the event.
	Handoff *api.HandoffState

	// Partition and Err are set for HandoffFailed alone: the partition of the call that
	// failed, and its error. Partition is -1 where the journal could not save which
	// members have departed.
	Partition int
	Err       error
}

// MemberChange is a change of one member, as it was and as it is.
type MemberChange struct {
	// ID is the NodeID of the member.
	ID string
	// Before and After are the member before and after the change. Before is the zero
	// Member when the member appeared, and After when it is gone.
	Before, After Member
	// Away is set for MemberRejoined alone: how long the member was gone, or zero when
	// its absence was not noticed.
	Away time.Duration
}

// RingChange is a change of the ring that lookups answer from. [rebalance.Diff] of Old and New
// says which partitions move.
type RingChange struct {
	// Old is the ring that was last delivered to this subscriber, or the ring in use
	// when it subscribed. New is the ring that replaced it. The target of each,
	// [ring.Ring.Target], holds the owners after the joins and drains under way.
	Old, New *ring.Ring
	// Version is the number of views that this process has derived, up to the new one.
	Version uint64
	// Fingerprint is that of the new view.
	Fingerprint ring.Fingerprint
}

// HealthChange is a change of this member's health: as it was at the last such event, and as
// it is.
type HealthChange struct{ Before, After Health }

// memberKind returns the kind of the membership event of that name, and 0 for any other
// name.
func memberKind(name string) EventKind {
	switch name {
	case "joined":
		return MemberJoined
	case "updated":
		return MemberUpdated
	case "leaving":
		return MemberLeaving
	case "left":
		return MemberLeft
	case "failed":
		return MemberFailed
	case "rejoined":
		return MemberRejoined
	default:
		return 0
	}
}

func ringEvent(before, after *published) Event {
	return Event{Kind: RingChanged, At: time.Now(), Ring: &RingChange{
		Old: before.Ring, New: after.Ring, Version: after.version, Fingerprint: after.Fingerprint,
	}}
}

// Events subscribes to changes from this call on and returns an iterator over them, in order.
// The iterator ends when the context ends or the cluster has stopped. A slow subscriber loses
// no state: events about the same thing are folded. The subscriber gets the newest state, and
// the number of events folded into it. Iterate at most once, from one goroutine; the
// subscription holds memory until the context ends, iterated or not. A nil context does not
// end.
func (c *Cluster) Events(ctx context.Context) iter.Seq[Event] {
	if ctx == nil {
		ctx = context.Background()
	}
	s := c.events.subscribe()
	stop := context.AfterFunc(ctx, func() { c.events.unsubscribe(s) })
	return func(yield func(Event) bool) {
		defer stop()
		defer c.events.unsubscribe(s)
		for {
			e, ok := s.next(ctx)
			if !ok || !yield(e) {
				return
			}
		}
	}
}
