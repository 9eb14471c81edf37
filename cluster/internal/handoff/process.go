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

// is compares the starts first: these nearly always differ where two sets do.
func (s set) is(t set) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i].Start != t[i].Start { //nolint:gosec // the lengths are equal
			return false
		}
	}
	return slices.Equal(s, t)
}

// sum returns a number that is nearly always different for sets that differ.
func (s set) sum() (sum uint64) {
	for _, p := range s {
		sum = (sum ^ p.Start) * prime
	}
	return sum
}

// prime multiplies sums, so that they differ in all their bits.
const prime = 1<<40 + 0x1B3 // the prime of FNV-1a

// contains reports whether every process of t is in s.
func (s set) contains(t set) bool {
	return !slices.ContainsFunc(t, func(p Process) bool { return !s.has(p) })
}
