package route

import (
	"sync"
	"sync/atomic"
	"time"
)

// avoided holds the addresses to which no connection could be made, so that the next
// requests try them last. Otherwise, until the members notice that one is gone, each
// request would wait for it again.
type avoided struct {
	period time.Duration
	any    atomic.Bool // lets the usual case, no addresses, avoid the lock

	mu      sync.Mutex
	trouble map[string]*trouble
	healed  chan struct{} // closed when an address has answered again
}

// trouble is the state of one address that could not be reached.
type trouble struct {
	until time.Time // the address is tried last until then
	tried time.Time // when a waiting request last tried the address, or when the first request could not reach it
	tries int       // attempts of requests that waited
}

// add adds an address for the period.
func (a *avoided) add(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	// An address without requests for a long time belongs to a member that is gone.
	for other, t := range a.trouble {
		if now.Sub(t.until) > 10*a.period {
			delete(a.trouble, other)
		}
	}
	if a.trouble == nil {
		a.trouble = make(map[string]*trouble)
	}
	t := a.trouble[addr]
	if t == nil {
		t = &trouble{tried: now}
		a.trouble[addr] = t
	}
	t.until = now.Add(a.period)
	a.any.Store(true)
}

// remove removes an address that has answered.
func (a *avoided) remove(addr string) {
	if !a.any.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble[addr] == nil {
		return
	}
	delete(a.trouble, addr)
	a.any.Store(len(a.trouble) > 0)
	if a.healed != nil {
		close(a.healed)
		a.healed = nil
	}
}

// recovery returns a channel that is closed when one of the addresses has answered again.
func (a *avoided) recovery() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.healed == nil {
		a.healed = make(chan struct{})
	}
	return a.healed
}

// has reports whether an address should be tried last.
func (a *avoided) has(addr string) bool {
	if !a.any.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.trouble[addr]
	return t != nil && time.Now().Before(t.until)
}

// troubled reports whether no request has reached an address since one could not.
func (a *avoided) troubled(addr string) bool {
	if !a.any.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble[addr] != nil
}

// try records that an address is about to be tried. If its period was over, other
// requests go on avoiding the address until this attempt has ended.
func (a *avoided) try(addr string) {
	if !a.any.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.trouble[addr]; t != nil {
		if now := time.Now(); !now.Before(t.until) {
			t.until = now.Add(a.period)
		}
	}
}

// again reports whether a waiting request may try an address again that it could not
// reach. Of all waiting requests one at a time may, after a pause that doubles every
// time. When the address has answered another request since, all of them may.
func (a *avoided) again(addr string) bool {
	if !a.any.Load() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.trouble[addr]
	if t == nil {
		return true
	}
	now := time.Now()
	if now.Sub(t.tried) < min(firstPause<<min(t.tries, 10), longestPause) {
		return false
	}
	t.tried, t.tries = now, t.tries+1
	return true
}
