package route

import (
	"sync"
	"time"
)

// watches are the attempts of an engine that wait for an answer and are not watched yet.
// One timer looks at all of them. A timer for each attempt is an allocation, and may wake a
// thread that waits for the network.
type watches struct {
	mu    sync.Mutex
	first *sending // the newest
	armed bool
	timer *time.Timer
}

// add begins to look at an attempt.
func (w *watches) add(s *sending) {
	s.began = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	s.next = w.first
	if w.first != nil {
		w.first.previous = s
	}
	w.first = s
	switch {
	case w.armed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(watchAfter/2, w.look)
	default:
		w.timer.Reset(watchAfter / 2)
	}
	w.armed = true
}

// remove ends to look at an attempt.
func (w *watches) remove(s *sending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(s)
}

func (w *watches) unlink(s *sending) {
	if !w.lists(s) {
		return
	}
	if s.next != nil {
		s.next.previous = s.previous
	}
	if s.previous != nil {
		s.previous.next = s.next
	} else {
		w.first = s.next
	}
	s.next, s.previous = nil, nil
}

// lists reports whether an attempt is in the list. The caller holds the lock.
func (w *watches) lists(s *sending) bool { return s.previous != nil || w.first == s }

// look begins to watch the attempts that have waited for watchAfter/2 to watchAfter.
func (w *watches) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := w.first; s != nil; {
		next := s.next
		if time.Since(s.began) >= watchAfter/2 {
			w.unlink(s)
			go s.watch()
		}
		s = next
	}
	if w.armed = w.first != nil; w.armed {
		w.timer.Reset(watchAfter / 2)
	}
}

// stop stops the timer when no attempt is under way.
func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed && w.first == nil {
		w.timer.Stop()
		w.armed = false
	}
}
