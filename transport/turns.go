package transport

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
)

// turns lets few long requests compute at a time. A request gives its turn back while it waits for
// the network. So a lookup of one key waits for few others, however many batches are under way.
// The clients that wait get turns one after the other, however many requests each has.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting []queue // a queue for each client that waits; the first queue is next
}

// queue is the requests of one client that wait for a turn, the oldest first.
type queue struct {
	client   netip.Prefix
	requests []chan struct{} // a channel is closed when its request has the turn
}

// newTurns returns turns for half of the processors, and for one at least.
func newTurns() *turns { return &turns{free: max(1, runtime.GOMAXPROCS(0)/2)} }

// take waits for a turn of a client. It reports false when the context ends first, and not when a
// turn is free.
func (t *turns) take(ctx context.Context, client netip.Prefix) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	at := t.of(client)
	if at < 0 {
		at = len(t.waiting)
		t.waiting = append(t.waiting, queue{client: client})
	}
	turn := make(chan struct{})
	t.waiting[at].requests = append(t.waiting[at].requests, turn)
	t.mu.Unlock()

	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	if !t.leave(client, turn) {
		t.give() // the turn came as the context ended
	}
	return false
}

// of returns the index of a client in waiting, -1 if the client does not wait.
func (t *turns) of(client netip.Prefix) int {
	return slices.IndexFunc(t.waiting, func(q queue) bool { return q.client == client })
}

// leave takes a request out of the queue of its client. It reports false if the request has its turn.
func (t *turns) leave(client netip.Prefix, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.of(client)
	if at < 0 {
		return false
	}
	q := &t.waiting[at]
	i := slices.Index(q.requests, turn)
	if i < 0 {
		return false
	}
	if q.requests = slices.Delete(q.requests, i, i+1); len(q.requests) == 0 {
		t.waiting = slices.Delete(t.waiting, at, at+1)
	}
	return true
}

// give gives a turn back: to the oldest request of the client that is next, if one waits.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	next := t.waiting[0]
	t.waiting = slices.Delete(t.waiting, 0, 1)
	close(next.requests[0])
	if next.requests = slices.Delete(next.requests, 0, 1); len(next.requests) > 0 {
		t.waiting = append(t.waiting, next)
	}
}
