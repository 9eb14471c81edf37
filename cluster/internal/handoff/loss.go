package handoff

import (
	"maps"
	"math/bits"
	"slices"
)

// An owner that cannot settle a pending set asks every process, and merges from all that have data. Then
// the owner looks for evidence that nothing is lost. An acknowledged write is lost only together with W
// processes that owned at the time. The owner walks back through the owner sets, the newest first. The
// walk ends at a set in which a quorum reports that it was ready, or one process that it was complete.
// Nothing is lost when the walk meets no depleted set, and no pending set is depleted, here or at a
// process that was merged from.

// finding is what the loss check has found.
type finding uint8

const (
	undecided finding = iota // an answer, or a merge, is missing
	unharmed                 // nothing acknowledged can be lost
	harmed                   // there is no such evidence
)

// checkLoss runs the loss check: it asks every process for its data and its past owner sets. While the
// check is undecided, checkLoss returns the next merge, nil when an answer is missing.
func (pt *partition) checkLoss(s *surroundings, out *effects) (finding, *job) {
	if pt.check == nil {
		pt.check = make(map[Process]*report)
		out.mail.ask(pt, anew)
		return undecided, nil
	}
	open := false
	var next *job
	for _, p := range pt.possibleHolders(s) {
		said := pt.check[p]
		if said != nil && (said.fence == 0 || pt.others.of(p).merged >= said.fence) {
			continue // the process has nothing, or all its data is here
		}
		if open = true; next == nil && said != nil && said.is(flagOffers) && s.alive[p] {
			next = merge(searching, 1, source{process: p, said: said})
		}
	}
	switch {
	case open:
		return undecided, next
	case pt.unharmed(s):
		return unharmed, nil
	default:
		return harmed, nil
	}
}

// possibleHolders returns the other processes, alive or away, that may have data of the partition.
func (pt *partition) possibleHolders(s *surroundings) set {
	all := slices.Clone(s.owners)
	for _, o := range pt.sets {
		if o.is(markPending) || pt.check != nil && o.is(markBefore|markServed) {
			all = append(all, *o.members...)
		}
	}
	return slices.DeleteFunc(newSet(all...), func(p Process) bool { return p == s.self || !s.stays(p) })
}

// unharmed reports whether there is evidence that nothing acknowledged is lost.
func (pt *partition) unharmed(s *surroundings) bool {
	if pt.deprived(s) || pt.sets.count(markReported) >= maxReported {
		return false
	}
	for o := range pt.sets.with(markReported) {
		if s.depleted(o) {
			return false
		}
	}
	// The past of this process: the sets that it saw serve, then the sets in which it served.
	if past := slices.Concat(pt.sets.past(markBefore), pt.sets.past(markServed)); pt.conclusive(s, past, len(past) < maxServed) {
		return true
	}
	// Failing that, as after a restart of all members, the walk takes the sets that were pending here or
	// at a source, each alone. Then it takes the sets in which a process that has data served.
	for o := range pt.sets.with(markPending | markSettled | markReported) {
		if pt.conclusive(s, ledger{o}, false) {
			return true
		}
	}
	for _, said := range pt.check {
		if said.fence > 0 && pt.conclusive(s, said.sets.past(markServed), false) {
			return true
		}
	}
	return false
}

// conclusive walks through a past, the newest set first. It reports whether the walk reaches a set of
// which enough members were ready, or one was complete, before it meets a depleted set. A member that was
// ready when the same set served earlier counts too, if the past has every set (whole) and none of them
// is depleted.
func (pt *partition) conclusive(s *surroundings, past ledger, whole bool) bool {
	earlier := false
	said := maps.Clone(pt.check)
	said[s.self] = &report{sets: pt.sets}
	for _, o := range past {
		if s.depleted(o) {
			return false
		}
		ready, before := uint16(0), uint16(0)
		for p, r := range said {
			if at := r.sets.find(o.members); at >= 0 {
				if r.sets[at].is(markComplete) {
					return true
				}
				ready |= r.sets[at].ready(p, markReady)
				before |= r.sets[at].ready(p, markReady|markEarlier)
			}
		}
		if bits.OnesCount16(ready) >= o.needed() {
			return true
		}
		earlier = earlier || bits.OnesCount16(before) >= o.needed()
	}
	return whole && earlier
}
