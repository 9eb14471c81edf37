package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// span is a time in which a worker ran.
type span struct {
	member   string
	from, to time.Time // to is zero while it runs
}

// measure knows which worker ran when, from what the members say. They share a
// clock because they share a machine. It is safe for concurrent use.
type measure struct {
	mu    sync.Mutex
	spans map[int][]span // by partition
	err   error          // of a line that was not understood
}

func newMeasure() *measure { return &measure{spans: make(map[int][]span)} }

// heard takes a line that a member said.
func (m *measure) heard(member, line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var what string
	var partition int
	var ns int64
	if _, err := fmt.Sscanf(line, "%s %d %d", &what, &partition, &ns); err != nil {
		m.err = cmp.Or(m.err, fmt.Errorf("%s says %q: %w", member, line, err))
		return
	}
	at := time.Unix(0, ns)
	if what == "begin" {
		m.spans[partition] = append(m.spans[partition], span{member: member, from: at})
		return
	}
	m.end(partition, member, at)
}

// died ends all workers of a member that cannot say so any more.
func (m *measure) died(member string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for partition := range m.spans {
		m.end(partition, member, at)
	}
}

func (m *measure) end(partition int, member string, at time.Time) {
	for i, s := range m.spans[partition] {
		if s.member == member && s.to.IsZero() {
			m.spans[partition][i].to = at
		}
	}
}

// running returns which members run a worker of each partition.
func (m *measure) running() (map[int][]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	running := make(map[int][]string)
	for partition, spans := range m.spans {
		for _, s := range spans {
			if s.to.IsZero() {
				running[partition] = append(running[partition], s.member)
			}
		}
	}
	return running, m.err
}

// windows are, for each partition where there were any, how long there was no
// worker and how long there was more than one.
type windows struct {
	changed   int // partitions in which a worker began or ended
	none, two []time.Duration
}

// between measures from one time to another, at which all is at rest.
func (m *measure) between(from, to time.Time) (w windows) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, spans := range m.spans {
		none, two, changed := count(spans, from, to)
		if changed {
			w.changed++
		}
		if none > 0 {
			w.none = append(w.none, none)
		}
		if two > 0 {
			w.two = append(w.two, two)
		}
	}
	slices.Sort(w.none)
	slices.Sort(w.two)
	return w
}

// count sums up, for one partition, the time without a worker and that with more
// than one.
func count(spans []span, from, to time.Time) (none, two time.Duration, changed bool) {
	type edge struct {
		at    time.Time
		delta int
	}
	var edges []edge
	for _, s := range spans {
		if !s.to.IsZero() && s.to.Before(from) || s.from.After(to) {
			continue
		}
		began, ended := s.from, s.to
		if began.Before(from) {
			began = from
		} else {
			changed = true
		}
		if ended.IsZero() || ended.After(to) {
			ended = to
		} else {
			changed = true
		}
		edges = append(edges, edge{began, +1}, edge{ended, -1})
	}
	edges = append(edges, edge{to, 0})
	slices.SortStableFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })
	running, last := 0, from
	for _, e := range edges {
		switch passed := e.at.Sub(last); {
		case running == 0:
			none += passed
		case running > 1:
			two += passed
		}
		running += e.delta
		last = e.at
	}
	return none, two, changed
}
