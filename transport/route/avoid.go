package route

import (
	"sync"
	"sync/atomic"
	"time"
)

// avoided remembers addresses that no connection could be made to, so that the
// next requests try them last: until the others notice that a member is gone,
// each would wait for it anew.
type avoided struct {
	period time.Duration
	any    atomic.Bool // spares the usual case the lock

	mu    sync.Mutex
	until map[string]time.Time
}

// add remembers an address for the period.
func (a *avoided) add(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	// An address without requests for a long time is that of a member that is gone.
	for other, until := range a.until {
		if now.Sub(until) > 10*a.period {
			delete(a.until, other)
		}
	}
	if a.until == nil {
		a.until = make(map[string]time.Time)
	}
	a.until[addr] = now.Add(a.period)
	a.any.Store(true)
}

// remove forgets an address that has answered.
func (a *avoided) remove(addr string) {
	if !a.any.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.until, addr)
	a.any.Store(len(a.until) > 0)
}

// has reports whether an address is to be tried last.
func (a *avoided) has(addr string) bool {
	if !a.any.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.until[addr]
	return ok && time.Now().Before(until)
}

// try says that an address is about to be tried. When its time was over, the
// others go on avoiding it until this attempt has told how it is.
func (a *avoided) try(addr string) {
	if !a.any.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if until, ok := a.until[addr]; ok {
		if now := time.Now(); !now.Before(until) {
			a.until[addr] = now.Add(a.period)
		}
	}
}
