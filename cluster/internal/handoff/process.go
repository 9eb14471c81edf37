package handoff

import (
	"cmp"
	"slices"
	"strings"
)

// Process is one start of a member. Evidence is about processes, not about members: a member that starts
// again without its data lacks its earlier writes. The zero Process is no process: it is never alive, so
// that nothing can be merged from it.
type Process struct {
	ID    string // the member's NodeID
	Start uint64 // the nonce of the start that its data goes back to
}

// Compare orders processes by ID, then by start.
func (p Process) Compare(q Process) int {
	return cmp.Or(strings.Compare(p.ID, q.ID), cmp.Compare(p.Start, q.Start))
}

// set is a set of processes, ascending. It is immutable, and shared between partitions and
// machines.
type set []Process

// newSet sorts the processes in place and keeps them.
func newSet(processes ...Process) set {
	slices.SortFunc(processes, Process.Compare)
	return slices.Compact(processes)
}

func (s set) has(p Process) bool { return slices.Contains(s, p) }
func (s set) is(t set) bool      { return slices.Equal(s, t) }

// contains reports whether every process of t is in s.
func (s set) contains(t set) bool {
	return !slices.ContainsFunc(t, func(p Process) bool { return !s.has(p) })
}
