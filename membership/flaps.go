package membership

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// flaps counts the returns of one process that was declared dead.
type flaps struct {
	addr   netip.AddrPort
	count  int
	since  time.Time
	latest time.Time // when it last came back
	died   time.Time // when it was declared dead before that
	silent time.Time // since when there had been no sign of it then
}

const (
	// flapWindow is the time within which flapCount returns of one process are a trouble.
	flapWindow = 10 * time.Minute
	flapCount  = 3
	maxFlaps   = 256
)

// flapped counts the return of a process that was declared dead: gone is the record of its death.
// The caller holds the lock.
func (r *registry) flapped(m Member, gone departure, now time.Time) {
	f := r.flaps[m.ID]
	if now.Sub(f.since) > flapWindow {
		f = flaps{since: now}
	}
	f.addr, f.count, f.latest, f.died, f.silent = m.Addr, f.count+1, now, gone.at, gone.silentSince()
	if _, known := r.flaps[m.ID]; !known && len(r.flaps) >= maxFlaps {
		return
	}
	if r.flaps == nil {
		r.flaps = make(map[string]flaps)
	}
	r.flaps[m.ID] = f
}

// watchFlaps records a trouble for each member that fails and comes back again and again.
func (m *Membership) watchFlaps() {
	r := m.registry
	r.mu.Lock()
	now := r.now()
	found := make(map[string]flaps)
	for id, f := range r.flaps {
		switch {
		case now.Sub(f.latest) > flapWindow:
			delete(r.flaps, id)
		case f.count >= flapCount:
			found[id] = f
		}
	}
	r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(found)) {
		f := found[id]
		m.troubles.set(troubleFlaps, id, "", fmt.Sprintf("%s at %v", id, f.addr), flapWindow-now.Sub(f.latest)+time.Second)
	}
}
