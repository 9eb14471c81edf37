package handoff

import "slices"

// Most partitions rest: nothing moves, and all that is left of them is what they know of the past. So a
// partition that rests takes little memory.

// activity is what a partition has while it does not rest, or knows of other processes.
type activity struct {
	others others
	check  map[Process]*report // the answers to a loss check, by process; nil: no loss check runs
	job    *job
	proof  *job    // a merge that has ended; its sources are asked once more
	failed Process // the first source of the last merge, if that merge failed
}

// inactive is the activity of all partitions without any. It does not change.
var inactive = &activity{}

// rest records that the partition has nothing to do, and frees the memory that it does not need. Partitions
// with equal ledgers share one while they rest.
func (m *Machine) rest(pt *partition) {
	pt.rests, pt.others = true, slices.Clone(pt.others)
	if len(pt.others) > 0 || pt.check != nil || pt.job != nil || pt.proof != nil {
		pt.sets = slices.Clone(pt.sets)
		return
	}
	pt.activity = inactive
	sum := uint64(len(pt.sets))
	for _, o := range pt.sets {
		sum = sum*prime + o.members.sum() + uint64(o.marks)
	}
	same := &m.resting[sum%uint64(len(m.resting))]
	if !slices.Equal(*same, pt.sets) {
		*same = slices.Clone(pt.sets)
	}
	pt.sets = *same
}

// stir prepares a partition for changes, after it may have rested.
func (pt *partition) stir() {
	if pt.activity == inactive {
		pt.activity, pt.sets = &activity{}, append(make(ledger, 0, len(pt.sets)+2), pt.sets...)
	}
}

// share returns a set for ledgers. Equal sets of successive views are nearly always one, so that partitions
// with equal ledgers can share a ledger.
func (s *surroundings) share(members set) *set {
	had := &s.shared[members.sum()%uint64(len(s.shared))]
	if *had == nil || !(*had).is(members) {
		*had = &members
	}
	return *had
}
