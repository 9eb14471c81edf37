package cluster

import (
	"context"
	"sync"
)

// subscribers are the queues of all calls of Events, and the log of the last events.
type subscribers struct {
	log    eventLog
	mu     sync.Mutex
	all    map[*subscriber]struct{}
	closed bool
}

func (s *subscribers) subscribe() *subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &subscriber{wake: make(chan struct{}, 1), closed: s.closed}
	if s.all == nil {
		s.all = make(map[*subscriber]struct{})
	}
	s.all[sub] = struct{}{}
	return sub
}

func (s *subscribers) unsubscribe(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sub)
}

// add hands an event to the log and to every subscriber. It never blocks.
func (s *subscribers) add(e Event) {
	s.log.add(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.all {
		sub.add(e)
	}
}

// close ends all subscriptions once they have delivered their queues.
func (s *subscribers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for sub := range s.all {
		sub.close()
	}
}

// maxQueued is how many events wait for a subscriber before they are folded.
const maxQueued = 256

// subscriber is one queue of events.
type subscriber struct {
	wake chan struct{}

	mu     sync.Mutex
	queue  []Event
	limit  int // fold when the queue is longer than this; 0: maxQueued
	closed bool
}

func (s *subscriber) add(e Event) {
	s.mu.Lock()
	s.queue = append(s.queue, e)
	if len(s.queue) > max(s.limit, maxQueued) {
		s.queue = foldEvents(s.queue)
		// The events that are left cannot be folded further. The queue may double
		// before it is folded again, so that folding stays cheap.
		s.limit = 2 * len(s.queue)
	}
	s.mu.Unlock()
	s.poke()
}

func (s *subscriber) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.poke()
}

func (s *subscriber) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next waits for an event. It reports false when no further event will come.
func (s *subscriber) next(ctx context.Context) (Event, bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 && ctx.Err() == nil {
			e := s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return e, true
		}
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return Event{}, false
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Event{}, false
		}
	}
}

// foldEvents keeps the last event about each thing (a member, this member's state, the ring,
// health, or handoff) as a change from what was before the first.
func foldEvents(events []Event) []Event {
	key := func(e Event) string {
		switch {
		case e.Kind == StateChanged:
			return "state"
		case e.Member != nil:
			return "member " + e.Member.ID
		case e.Ring != nil:
			return "ring"
		case e.Handoff != nil && e.Kind == HandoffFailed:
			return "handoff failed"
		case e.Handoff != nil:
			return "handoff"
		default:
			return "health"
		}
	}
	last := make(map[string]int)
	first := make(map[string]Event)
	folded := make(map[string]int)
	for i, e := range events {
		k := key(e)
		if _, ok := last[k]; ok {
			folded[k]++
		} else {
			first[k] = e
		}
		folded[k] += e.Folded
		last[k] = i
	}
	kept := make([]Event, 0, len(last))
	for i, e := range events {
		k := key(e)
		if last[k] == i {
			kept = append(kept, since(e, first[k], folded[k]))
		}
	}
	return kept
}

// since returns the event e with the state before the event first, and a count of the
// events between.
func since(e, first Event, folded int) Event {
	e.Folded = folded
	switch {
	case e.Member != nil:
		change := *e.Member
		change.Before = first.Member.Before
		e.Member = &change
	case e.Ring != nil:
		change := *e.Ring
		change.Old = first.Ring.Old
		e.Ring = &change
	case e.Handoff != nil: // these events hold a state, not a change
	default:
		change := *e.Health
		change.Before = first.Health.Before
		e.Health = &change
	}
	return e
}
