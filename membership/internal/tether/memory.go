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
	// Starts that fail within groupTime are taken to have one cause. With more than maxGroup of them
	// the cause was the network, and says nothing about one start.
	groupTime = 30 * time.Second
	maxGroup  = 3
)

// memory holds the starts that have failed, and those that came back after that.
type memory struct{ all map[string]*record }

type record struct {
	failed   time.Time
	examined bool          // an examination of this member had a finding about it before it failed
	wait     time.Duration // the last time of distrust; zero: it has not come back
	until    time.Time     // the end of the distrust
}

// fail records that a start has failed, or is about to. examined says that an examination of this member
// had a finding about it.
func (m *memory) fail(name string, examined bool, now time.Time) {
	if r := m.all[name]; r != nil {
		r.failed, r.examined = now, r.examined || examined
		return
	}
	if len(m.all) >= maxMemory {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(m.all)), func(a, b string) int {
			return m.all[a].failed.Compare(m.all[b].failed)
		})
		delete(m.all, oldest)
	}
	m.all[name] = &record{failed: now, examined: examined}
}

// back records that a start is believed alive, and reports whether it has failed before. It was
// not dead then. If examinations of this member said so, it is distrusted, unless others failed at about
// the same time, as in a partition.
func (m *memory) back(name string, now time.Time) bool {
	r := m.all[name]
	if r == nil {
		return false
	}
	if r.examined && m.failedWith(r) <= maxGroup {
		m.distrust(name, now)
	}
	r.examined = false
	return true
}

// failedWith returns how many starts failed at about the time of one, with that one.
func (m *memory) failedWith(one *record) (group int) {
	for _, r := range m.all {
		if r.failed.Sub(one.failed).Abs() < groupTime {
			group++
		}
	}
	return group
}

// distrust makes examinations of a start have no finding for some time.
func (m *memory) distrust(name string, now time.Time) {
	if m.all[name] == nil {
		m.fail(name, false, now)
	}
	r := m.all[name]
	r.wait = min(max(2*r.wait, distrustFirst), distrustMost)
	r.until = now.Add(r.wait)
}

// distrusts reports whether examinations of a start have no finding.
func (m *memory) distrusts(name string, now time.Time) bool {
	r := m.all[name]
	return r != nil && now.Before(r.until)
}

// forget deletes a start that can no longer come back.
func (m *memory) forget(name string) { delete(m.all, name) }
