package cluster

import (
	"context"
	"iter"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events.
const (
	// MemberJoined: a member that was not known before.
	MemberJoined EventKind = iota + 1
	// MemberUpdated: a member announced something else about itself, that it is away for
	// example; or a member that is away has left, and After.Until is set.
	MemberUpdated
	// MemberLeaving: a member announced that it is about to go.
	MemberLeaving
	// MemberLeft: a member went after it said so.
	MemberLeft
	// MemberFailed: a member is gone without a word, or was away for longer than its grace.
	MemberFailed
	// MemberRejoined: a member is back, or a new start of it took over.
	MemberRejoined
	// RingChanged: lookups answer from another ring, or it has another target.
	RingChanged
	// StateChanged: this member announces another state of its own life. With After.State
	// active it has become an owner; with draining it hands over, with leaving it owns
	// nothing any more. The RingChanged that follows from it comes later.
	StateChanged
	// HealthChanged: this member became ready or unready, or has other
	// problems.
	HealthChanged
	// HandoffStarted: partitions have begun to move to or from this member.
	HandoffStarted
	// HandoffProgressed: some of them have arrived or been let go. It comes once
	// a second at most.
	HandoffProgressed
	// HandoffCompleted: none are on their way to or from this member any more. What
	// it has may still be merged by others; see HandoffState.Sharing.
	HandoffCompleted
	// HandoffFailed: a call of the user's code failed. It is made again.
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

// Event is one change. Exactly one of Member, Ring, Health and Handoff is set. What they
// point to must not be modified.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// At is when this process learned of it, by its own clock.
	At time.Time
	// Folded counts earlier events about the same thing that this one stands
	// for as well, because the subscriber was slow. What was before is what
	// was before the first of them.
	Folded int

	// Member is the change of a member, or for StateChanged of this member.
	Member *MemberChange
	// Ring is the change of the ring.
	Ring *RingChange
	// Health is the change of this member's health.
	Health *HealthChange
	// Handoff is how far this member is with moving partitions at the time of the event.
	Handoff *HandoffState

	// Partition and Err say, for HandoffFailed, which call failed and how. Partition is -1
	// where the journal could not save which members have departed.
	Partition int
	Err       error
}

// MemberChange is a change of one member.
type MemberChange struct {
	// ID is its NodeID.
	ID string
	// Before and After are the member on both sides of the change; the zero
	// Member where it was not there.
	Before, After Member
	// Away is, for MemberRejoined, how long it had been gone; zero when its
	// absence was not noticed.
	Away time.Duration
}

// RingChange is a change of the ring that lookups answer from. [rebalance.Diff] of Old and New
// says what moves.
type RingChange struct {
	// Old is the ring last delivered to this subscriber, or the one in force
	// when it subscribed; New is the one that replaced it. Their targets say
	// where they were going.
	Old, New *ring.Ring
	// Version counts the views of this process.
	Version uint64
	// Fingerprint is that of the new view.
	Fingerprint ring.Fingerprint
}

// HealthChange is a change of this member's health: as it was when subscribers were last told,
// and as it is.
type HealthChange struct{ Before, After Health }

// memberKind is the kind of membership's event of that name, and 0 for any other.
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

// Events subscribes to changes from this call on and returns an iterator over
// them, in order. It ends when the context ends or the cluster has stopped. A
// subscriber that does not keep up loses no news: events about the same thing
// are folded, so that it gets the newest state and the number of those folded.
// Iterate at most once, from one goroutine; the subscription holds memory until
// the context ends, iterated or not.
func (c *Cluster) Events(ctx context.Context) iter.Seq[Event] {
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
