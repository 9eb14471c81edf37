package tether

import (
	"maps"
	"slices"
	"time"
)

const (
	distrustFirst = 2 * time.Minute  // how long a start is distrusted that came back for the first time
	distrustMost  = 32 * time.Minute // the wait doubles up to this one
	maxMemory     = 1024             // starts that are remembered
)

// memory holds the starts that have failed, and those that came back after that.
type memory struct{ all map[string]*record }

type record struct {
	failed time.Time
	judged bool          // this member found it gone before it failed, or was wrong to suspect it
	wait   time.Duration // the last time of distrust; zero: it has not come back
	until  time.Time     // the end of the distrust
}

// fail records that a start has failed, or is about to. judged says that this member found it gone, or was
// wrong to suspect it.
func (m *memory) fail(name string, judged bool, now time.Time) {
	if r := m.all[name]; r != nil {
		r.failed, r.judged = now, r.judged || judged
		return
	}
	if len(m.all) >= maxMemory {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(m.all)), func(a, b string) int {
			return m.all[a].failed.Compare(m.all[b].failed)
		})
		delete(m.all, oldest)
	}
	m.all[name] = &record{failed: now, judged: judged}
}

// back records that a start is believed alive, and reports whether it has failed before. It was
// not dead then. So a verdict of this member about it was wrong, and the next ones may be.
func (m *memory) back(name string, now time.Time) bool {
	r := m.all[name]
	if r == nil {
		return false
	}
	if !r.judged {
		return true
	}
	r.judged = false
	r.wait = min(max(2*r.wait, distrustFirst), distrustMost)
	r.until = now.Add(r.wait)
	return true
}

// distrusts reports whether examinations of a start have no verdict.
func (m *memory) distrusts(name string, now time.Time) bool {
	r := m.all[name]
	return r != nil && now.Before(r.until)
}

// forget deletes a start that can no longer come back.
func (m *memory) forget(name string) { delete(m.all, name) }
