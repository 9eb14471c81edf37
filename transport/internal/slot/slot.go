// Package slot bounds the requests that are under way to a host, where each takes a
// connection. Requests that take long have a bound of their own, so that they do not keep
// the others off: long polls, streams, and requests to a handler that hangs.
package slot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// LongAfter is how old a request is at least when it counts as long. A request counts as
// long only when another one needs its slot.
const LongAfter = 500 * time.Millisecond

// ErrBusy says that a request got no slot in time.
var ErrBusy = errors.New("no connection to the host was free")

// Slots are the slots of all hosts. All methods are safe for concurrent use.
type Slots struct {
	most, mostLong int
	mostWait       time.Duration

	mu    sync.Mutex
	hosts map[string]*host
}

// host holds the requests to one host.
type host struct {
	first, last *Slot // the requests that do not count as long, in the order in which they become long
	short, long int
	waiting     []*waiter // in the order in which they came
}

// waiter is a request that waits for a slot.
type waiter struct {
	slot *Slot
	got  chan struct{} // closed when it has the slot
}

// Slot is the place of one request. The zero value holds no place.
type Slot struct {
	slots          *Slots
	host           *host
	addr           string
	began          time.Time
	previous, next *Slot // in the list of the host
	long           bool
}

// New returns slots: most requests to one host at a time, and mostLong more that take long.
// A request waits for a slot for mostWait at most.
func New(most, mostLong int, mostWait time.Duration) *Slots {
	return &Slots{most: most, mostLong: mostLong, mostWait: mostWait, hosts: make(map[string]*host)}
}

// Try takes a slot that is free. It does not block, and returns false when none is free.
func (s *Slots) Try(addr string, t *Slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.try(addr, t)
}

func (s *Slots) try(addr string, t *Slot) bool {
	h := s.hosts[addr]
	if h == nil {
		h = new(host)
		s.hosts[addr] = h
	}
	t.slots, t.host, t.addr = s, h, addr
	if len(h.waiting) > 0 || h.short >= s.most && !s.promote(h) {
		return false
	}
	h.add(t)
	return true
}

// Wait takes a slot, and waits until one is free. It returns the cause of the context when
// that ends first, [ErrOver] when the channel is closed first, and an error that matches
// [ErrBusy] after the longest wait.
func (s *Slots) Wait(ctx context.Context, over <-chan struct{}, addr string, t *Slot) error {
	s.mu.Lock()
	if s.try(addr, t) {
		s.mu.Unlock()
		return nil
	}
	w := &waiter{t, make(chan struct{})}
	h := t.host
	h.waiting = append(h.waiting, w)
	next := s.untilLong(h)
	s.mu.Unlock()
	end := time.Now().Add(s.mostWait)
	timer := time.NewTimer(min(next, s.mostWait))
	defer timer.Stop()
	for {
		var err error
		select {
		case <-w.got:
			return nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-over:
			err = ErrOver
		case <-timer.C:
			s.mu.Lock()
			s.grant(h)
			next = s.untilLong(h)
			has := !slices.Contains(h.waiting, w)
			s.mu.Unlock()
			if left := time.Until(end); has || left > 0 {
				timer.Reset(min(next, max(left, 0)))
				continue
			}
			err = fmt.Errorf("%w within %s: %d requests to %s are under way, and %d more that take long", ErrBusy, s.mostWait, s.most, addr, s.mostLong)
		}
		s.mu.Lock()
		i := slices.Index(h.waiting, w)
		if i >= 0 {
			h.waiting = slices.Delete(h.waiting, i, i+1)
		}
		s.mu.Unlock()
		if i < 0 { // the waiter has the slot
			t.Free()
		}
		return err
	}
}

// ErrOver says that the channel over of Wait was closed.
var ErrOver = errors.New("the wait for a slot was ended")

// lookAgain is the time after which a request that waits looks again at the others.
const lookAgain = 100 * time.Millisecond

// untilLong returns when to look whether another request counts as long. The caller holds
// the lock.
func (s *Slots) untilLong(h *host) time.Duration {
	if h.first == nil || h.long >= s.mostLong {
		return lookAgain
	}
	return min(max(LongAfter-time.Since(h.first.began), time.Millisecond), lookAgain)
}

// promote lets the request that is under way for longest count as long. It returns false
// when it has not taken long, or when there are as many long ones as there may be. The
// caller holds the lock.
func (s *Slots) promote(h *host) bool {
	t := h.first
	if t == nil || h.long >= s.mostLong || time.Since(t.began) < LongAfter {
		return false
	}
	h.remove(t)
	t.long = true
	h.long++
	return true
}

// grant gives slots that are free to requests that wait. The caller holds the lock.
func (s *Slots) grant(h *host) {
	for len(h.waiting) > 0 && (h.short < s.most || s.promote(h)) {
		w := h.waiting[0]
		h.waiting = slices.Delete(h.waiting, 0, 1)
		h.add(w.slot)
		close(w.got)
	}
}

func (h *host) add(t *Slot) {
	t.began = time.Now()
	if t.previous = h.last; h.last != nil {
		h.last.next = t
	} else {
		h.first = t
	}
	h.last = t
	h.short++
}

func (h *host) remove(t *Slot) {
	if t.previous != nil {
		t.previous.next = t.next
	} else {
		h.first = t.next
	}
	if t.next != nil {
		t.next.previous = t.previous
	} else {
		h.last = t.previous
	}
	t.previous, t.next = nil, nil
	h.short--
}

// Streams says that the answer of a request has begun, and that its end is not known. The
// request may count as long from now on.
func (t *Slot) Streams() {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	h := t.host
	if t.long {
		return
	}
	h.remove(t)
	t.began = time.Time{}
	if t.next = h.first; h.first != nil {
		h.first.previous = t
	} else {
		h.last = t
	}
	h.first = t
	h.short++
	s.grant(h)
}

// mostHosts is the number of hosts from which on those without a request are forgotten.
const mostHosts = 256

// Free gives the slot back. It must be called once for every slot that was taken.
func (t *Slot) Free() {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	h := t.host
	if t.long {
		h.long--
		t.long = false
	} else {
		h.remove(t)
	}
	s.grant(h)
	if len(s.hosts) > mostHosts && h.short+h.long+len(h.waiting) == 0 {
		delete(s.hosts, t.addr)
	}
}
