package membership

import (
	"sync"
	"time"
)

// eventKind says what happened to a member. A suspect member is no event: most suspects refute the
// message.
type eventKind uint8

const (
	// eventJoined: a member that was not known before. Before is empty.
	eventJoined eventKind = iota + 1
	// eventUpdated: a member announced other values of itself.
	eventUpdated
	// eventLeaving: a member announced that it is about to leave.
	eventLeaving
	// eventLeft: a member left after it had announced that. After is empty.
	eventLeft
	// eventFailed: a member is gone and had not announced it. After is empty.
	eventFailed
	// eventRejoined: a member that had left or failed is back, or a new start of it
	// took over from one that is still believed alive.
	eventRejoined
)

var eventNames = [...]string{
	eventJoined: "joined", eventUpdated: "updated", eventLeaving: "leaving",
	eventLeft: "left", eventFailed: "failed", eventRejoined: "rejoined",
}

// String returns "joined", "updated", "leaving", "left", "failed" or "rejoined".
func (k eventKind) String() string {
	if k < eventJoined || k > eventRejoined {
		return "unknown"
	}
	return eventNames[k]
}

// event is one change of one member. Events stand in the order in which this process
// learned of the changes.
type event struct {
	// Kind says what happened.
	Kind eventKind
	// ID is the member's NodeID.
	ID string
	// Before and After are the member before and after the change. The zero Member
	// means that the member was not there.
	Before, After Member
	// Away is, for eventRejoined, how long the member had been gone. Zero means that
	// its absence was not noticed.
	Away time.Duration
	// At is when this process learned of the change, by its own clock.
	At time.Time
}

// maxPendingEvents is the number of events that wait for the consumer. Further events
// are folded, so that frequent changes cannot fill the memory.
const maxPendingEvents = 8192

// eventQueue holds events until they are taken. Adding never blocks.
type eventQueue struct {
	mu      sync.Mutex
	pending []event
	wake    chan struct{}
}

func newEventQueue() *eventQueue { return &eventQueue{wake: make(chan struct{}, 1)} }

func (q *eventQueue) add(e event) {
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

func (q *eventQueue) take() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.pending
	q.pending = nil
	return taken
}

// fold keeps the last event of each member, as a change from what the member
// was before the first.
func fold(events []event) []event {
	first := make(map[string]event, len(events))
	last := make(map[string]int, len(events))
	for i, e := range events {
		if _, ok := first[e.ID]; !ok {
			first[e.ID] = e
		}
		last[e.ID] = i
	}
	var kept []event
	for i, e := range events {
		if last[e.ID] == i {
			e.Before = first[e.ID].Before
			kept = append(kept, e)
		}
	}
	return kept
}
