package handoff

import "slices"

// from returns a process as a source, and whether it is alive and offers what it has. A merge from a
// process that is not alive proves nothing, and would begin again at once.
func (pt *partition) from(s *surroundings, p Process) (source, bool) {
	said := pt.others.of(p).said
	return source{process: p, said: said}, said.is(flagOffers) && s.alive[p]
}

// next returns the job that a partition needs now, nil when it needs none or has to wait.
func (pt *partition) next(s *surroundings, out *effects) *job {
	if pt.ownership != owning {
		// Members that seemed lost may be back, or may have left in order.
		pt.lost = pt.lost && pt.deprived(s)
		if pt.has == leftover || pt.drained && !pt.lost && pt.confirmed(s) {
			return &job{Job: Job{Kind: Release}}
		}
		return nil
	}
	if pt.proof != nil {
		return nil
	}
	if next := pt.asked(s, out); next != nil || pt.pending() == 0 {
		return next
	}
	return pt.choose(s, out)
}

// confirmed reports whether each owner has merged what is here as of the last fence.
func (pt *partition) confirmed(s *surroundings) bool {
	n := 0
	for _, o := range pt.owners.all {
		merged := pt.others.of(o).said.merged
		if merged == pt.fence || s.config.Without.is(WithoutFreshness) && merged > 0 {
			n++
		}
	}
	// Without owners there is no reason to release.
	return n > 0 && (n == len(pt.owners.all) || s.config.Without.is(WithoutUnanimity))
}

// asked returns the merge that another process asked for.
func (pt *partition) asked(s *surroundings, out *effects) *job {
	for i := range pt.others {
		o := &pt.others[i]
		if !o.said.is(flagOffers) || o.merged >= o.said.asked || !s.alive[o.process] {
			continue
		}
		if s.config.Without.is(WithoutMerges) && pt.ready() {
			o.merged = o.said.asked
			out.mail.note(o.process, pt.id)
			continue
		}
		return merge(requested, 1, source{process: o.process, said: o.said})
	}
	return nil
}

// choose picks from which processes an owner that lacks data merges, nil when it has to wait. It
// prefers enough serving owners that are ready, and after a while it takes the members of the
// pending sets. Ready owners do not stand for a depleted set: on the far side of a cut they may
// not have owned together with it.
func (pt *partition) choose(s *surroundings, out *effects) *job {
	if s.config.Without.is(WithoutQuorum) {
		for _, o := range pt.owners.all {
			if source, offers := pt.from(s, o); offers {
				return merge(quorum, 1, source)
			}
		}
		return nil
	}
	var next *job
	if !pt.deprived(s) {
		next = pt.fromQuorum(s)
	}
	if next == nil && !pt.timers.has(Patience) {
		next = pt.fromPending(s, out)
	}
	if next != nil && next.purpose != salvage {
		pt.lost = false
	}
	return next
}

// fromQuorum is the merge from RF − W + 1 ready owners: nothing acknowledged can be missing.
func (pt *partition) fromQuorum(s *surroundings) *job {
	next := merge(quorum, s.quorums.slack()+1)
	for _, o := range pt.owners.serving {
		if source, offers := pt.from(s, o); offers && o != s.self && source.said.is(flagReady) {
			next.sources = append(next.sources, source)
		}
	}
	if len(next.sources) < next.Need {
		return nil
	}
	return next
}

// fromPending is the merge from members of the pending sets. A source that lacks writes itself
// passes its own pending sets on with its data. Where too few members are left, the loss check
// decides: the owner becomes ready, merges from what the check found, or reports possible loss and
// merges what there is.
func (pt *partition) fromPending(s *surroundings, out *effects) *job {
	pt.lost = false
	small := false
	for o := range pt.sets.with(markPending) {
		pt.lost = pt.lost || !pt.attainable(s, o)
		small = small || len(*o.members) < o.needed()
	}
	if pt.lost {
		verdict, next := pt.verdict(s, out)
		if verdict == unharmed || s.config.Without.is(WithoutLossCheck) {
			pt.becomeReady(out)
			return nil
		}
		if verdict == undecided {
			pt.lost = false
			return next
		}
	}
	sources := pt.available(s, true)
	if !pt.suffice(s, sources) {
		sources = pt.available(s, false)
		if !pt.suffice(s, sources) && !pt.lost {
			return nil
		}
	}
	if small {
		// A set is too small to tell by its number that nothing is missing: one of its members has
		// to confirm that it has everything, and no serving owner may know more.
		for _, o := range pt.owners.serving {
			if o == s.self || slices.ContainsFunc(sources, func(h source) bool { return h.process == o }) {
				continue
			}
			if source, offers := pt.from(s, o); offers {
				sources = append(sources, source)
			} else if !pt.lost {
				return nil
			}
		}
	}
	why := settling
	switch {
	case pt.lost:
		// It does not make the owner ready. But what there is should be here, once.
		why = salvage
		sources = slices.DeleteFunc(sources, func(h source) bool { return pt.others.of(h.process).merged >= h.said.fence })
	case small:
		why = settlingAll
	}
	if len(sources) == 0 {
		return nil
	}
	return merge(why, len(sources), sources...)
}

// available are the members of pending sets that can be merged from now, without those that lack
// writes themselves where only settled ones are wanted.
func (pt *partition) available(s *surroundings, settledOnly bool) (sources []source) {
	for o := range pt.sets.with(markPending) {
		for p := range o.missing() {
			source, offers := pt.from(s, p)
			if p != s.self && offers && (!settledOnly || source.said.sets.count(markPending) == 0) {
				sources = append(sources, source)
			}
		}
	}
	slices.SortFunc(sources, func(a, b source) int { return a.process.Compare(b.process) })
	return slices.CompactFunc(sources, func(a, b source) bool { return a.process == b.process })
}

// suffice reports whether merging from the sources settles all pending sets, as far as can be told
// before.
func (pt *partition) suffice(s *surroundings, sources []source) bool {
	for o := range pt.sets.with(markPending) {
		for _, h := range sources {
			o.strike(h.process)
		}
		if s.merged(o) < min(o.needed(), len(*o.members)) {
			return false
		}
	}
	return true
}

// merged counts the members of a set that were merged from. This process may be a member itself,
// when the set came with the data of another: what is here counts.
func (s *surroundings) merged(o ownerSet) (n int) {
	for i, p := range *o.members {
		if o.merged>>i&1 == 1 || p == s.self {
			n++
		}
	}
	return n
}

// settles reports whether a pending set is settled. Where the set has fewer members than would do,
// all of them were merged from, and one of them knows that it missed nothing.
func (s *surroundings) settles(o ownerSet) bool {
	n := s.merged(o)
	if need := o.needed(); len(*o.members) >= need {
		return n >= need
	}
	return n == len(*o.members) && o.is(markConfirmed)
}

// attainable reports whether a pending set can still be settled, as far as is known.
func (pt *partition) attainable(s *surroundings, o ownerSet) bool {
	had := s.merged(o)
	n := had
	for p := range o.missing() {
		known := pt.others.of(p)
		hasNothing := known.heard() && known.said.flags&^(flagSees|flagAsks) == 0 && known.said.fence == 0
		if p != s.self && s.stays(p) && !hasNothing {
			n++
		}
	}
	if need := o.needed(); len(*o.members) >= need {
		return n >= need
	}
	// Whether one of them confirms shows only when all are merged from.
	return n == len(*o.members) && (o.is(markConfirmed) || had < n)
}

// settle takes a merge into account once each source has answered a question that was asked after the
// merge, or is gone. A source counts when it is the same process with the same fence: a source that was
// restarted in between may have had nothing.
func (pt *partition) settle(s *surroundings, out *effects) {
	done := pt.proof
	good, gone := 0, 0
	for _, h := range done.sources {
		switch {
		case h.proof == proven:
			good++
		case !s.alive[h.process] || h.proof == refuted:
			gone++
		}
	}
	if good+gone < len(done.sources) {
		return
	}
	pt.proof = nil
	pt.journal.change()
	outside := func(h source) bool { return !pt.owners.serving.has(h.process) }
	if gone == 0 && (s.config.Without.is(WithoutQuorum) || done.purpose == quorum && !slices.ContainsFunc(done.sources, outside)) {
		pt.becomeReady(out)
		return
	}
	if done.Need < len(done.sources) || done.purpose == settlingAll && gone > 0 {
		return // it is not known which of the sources were merged from
	}
	sources := slices.DeleteFunc(done.sources, func(h source) bool { return h.proof != proven })
	for _, h := range sources {
		pt.take(s, h)
		if done.purpose == requested {
			out.mail.note(h.process, pt.id)
		}
	}
	for _, h := range sources {
		pt.strike(h)
	}
	if pt.pending() == 0 {
		return
	}
	for i := range pt.sets {
		if o := &pt.sets[i]; o.is(markPending) && s.settles(*o) {
			o.merged, o.marks = 0, o.marks&^(markPending|markConfirmed)|markSettled
		}
	}
	if pt.pending() == 0 {
		pt.becomeReady(out)
	}
}

// take notes what came from a source. What a member of a pending set lacks is still lacking here.
func (pt *partition) take(s *surroundings, h source) {
	pt.others.at(h.process).merged = h.said.fence
	for o := range h.said.sets.with(markReady) {
		if at := pt.sets.find(o.members); at >= 0 && pt.sets[at].is(markServed) && !s.config.Without.is(WithoutAttestation) {
			pt.sets[at].attested |= o.ready(h.process, markReady) // it may depart, and cannot say so any more
		}
	}
	member := false
	for o := range pt.sets.with(markPending) {
		member = member || o.members.has(h.process)
	}
	for o := range h.said.sets.with(markPending) {
		pt.sets.report(o)
		if member {
			pt.sets.await(o)
		}
	}
}

// strike notes in the pending sets that a source was merged from.
func (pt *partition) strike(h source) {
	for i := range pt.sets {
		if o := &pt.sets[i]; o.is(markPending) && o.strike(h.process) && h.said.is(flagComplete) {
			o.marks |= markConfirmed
		}
	}
}

// deprived reports whether a pending set is depleted.
func (pt *partition) deprived(s *surroundings) bool {
	for o := range pt.sets.with(markPending) {
		if s.depleted(o) {
			return true
		}
	}
	return false
}
