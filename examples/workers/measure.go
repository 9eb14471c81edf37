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
	from, to time.Time // to is zero while the worker runs
}

// measure records when each worker ran, from the lines that the members print. All
// members use the clock of one machine. It is safe for concurrent use.
type measure struct {
	mu    sync.Mutex
	spans map[int][]span // by partition
	err   error          // the error of an invalid line
}

func newMeasure() *measure { return &measure{spans: make(map[int][]span)} }

// heard records a line of a member.
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

// died records the end of all workers of a killed member.
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

// running returns, for each partition, the members that run a worker.
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

// windows holds, for each partition, how long it had no worker, and how long it had
// more than one. It leaves out times of zero.
type windows struct {
	changed   int // partitions in which a worker began or ended
	none, two []time.Duration
}

// between returns the windows from one time to another. At both times no worker may
// begin or end.
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

// count returns, for one partition, the total time without a worker and the total time
// with more than one.
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
