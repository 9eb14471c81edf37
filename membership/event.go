package membership

import (
	"sync"
	"time"
)

// EventKind says what happened to a member.
type EventKind uint8

// What can happen to a member, as the others see it. That gossip suspects a
// member is no event: most suspicions are refuted.
const (
	// Joined: a member that was not known before. Before is empty.
	Joined EventKind = iota + 1
	// Updated: a member announced something else about itself.
	Updated
	// LeavingSoon: a member announced that it is about to go.
	LeavingSoon
	// Left: a member went after it said so. After is empty.
	Left
	// Failed: a member is gone without a word. After is empty.
	Failed
	// Rejoined: a member that had left or failed is back, or a new start of
	// it took over from one still believed alive.
	Rejoined
)

var eventNames = [...]string{Joined: "joined", Updated: "updated", LeavingSoon: "leaving", Left: "left", Failed: "failed", Rejoined: "rejoined"}

// String returns the kind in lower case.
func (k EventKind) String() string {
	if k < Joined || k > Rejoined {
		return "unknown"
	}
	return eventNames[k]
}

// Event is one change of one member, in the order in which this process
// learned of it.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// ID is the member's NodeID.
	ID string
	// Before and After are the member on both sides of the change; the zero
	// Member where it was not there.
	Before, After Member
	// Away is, for Rejoined, how long the member had been gone; zero when
	// its absence was not noticed.
	Away time.Duration
	// At is when this process learned of it, by its own clock.
	At time.Time
}

// maxPendingEvents is how many events wait for a consumer that does not come
// before they are folded, so that churn cannot fill the memory.
const maxPendingEvents = 8192

// eventQueue holds events until they are taken. It never blocks who adds.
type eventQueue struct {
	mu      sync.Mutex
	pending []Event
	wake    chan struct{}
}

func newEventQueue() *eventQueue { return &eventQueue{wake: make(chan struct{}, 1)} }

func (q *eventQueue) add(e Event) {
	q.mu.Lock()
	q.pending = append(q.pending, e)
	if len(q.pending) > maxPendingEvents {
		q.pending = fold(q.pending)
	}
	q.mu.Unlock()
	q.poke()
}

// poke wakes the consumer.
func (q *eventQueue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *eventQueue) take() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.pending
	q.pending = nil
	return taken
}

// fold keeps the last event of each member, as a change from what the member
// was before the first.
func fold(events []Event) []Event {
	first := make(map[string]Event, len(events))
	last := make(map[string]int, len(events))
	for i, e := range events {
		if _, ok := first[e.ID]; !ok {
			first[e.ID] = e
		}
		last[e.ID] = i
	}
	var kept []Event
	for i, e := range events {
		if last[e.ID] == i {
			e.Before = first[e.ID].Before
			kept = append(kept, e)
		}
	}
	return kept
}
