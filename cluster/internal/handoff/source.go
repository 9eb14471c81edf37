package handoff

import "slices"

// from returns a process as a source, and whether the process is alive and offers its data. A merge from
// a process that is not alive proves nothing, and would begin again at once.
func (pt *partition) from(s *surroundings, p Process) (source, bool) {
	said := pt.others.of(p).said
	return source{process: p, said: said}, said.is(flagOffers) && s.alive[p]
}

// next returns the job that a partition needs now, nil when it needs none or has to wait.
func (pt *partition) next(s *surroundings, out *effects) *job {
	if pt.ownership != owning {
		// Members that counted as gone may be back, or may have departed.
		pt.lost = pt.lost && pt.deprived(s)
		if pt.has == leftover || pt.drained && !pt.lost && pt.confirmed(s) {
			return &job{Job: Job{Kind: Release}}
		}
		return nil
	}
	if pt.proof != nil {
		return nil
	}
	if next := pt.asked(s, out); next != nil || !pt.pending() {
		return next
	}
	return pt.choose(s, out)
}

// confirmed reports whether each owner has merged the data here as of the last fence.
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

// asked returns the merge that other processes asked for: from all of these at once. After a failure it
// takes one alone, each time the next one: a process that can not be copied from does not hold up others.
func (pt *partition) asked(s *surroundings, out *effects) *job {
	var sources []source
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
		sources = append(sources, source{process: o.process, said: o.said})
	}
	if len(sources) == 0 {
		return nil
	}
	if pt.failed != (Process{}) {
		at := slices.IndexFunc(sources, func(h source) bool { return h.process.Compare(pt.failed) > 0 })
		sources = sources[max(at, 0):][:1]
	}
	return merge(requested, len(sources), sources...)
}

// choose returns the next merge of an owner with pending sets, nil when the owner has to wait. It prefers
// enough ready serving owners. After a while it takes members of the pending sets. Merging from ready
// owners is not sufficient when a pending set is depleted: after a cut they may never have owned together
// with that set.
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

// fromQuorum returns the merge from RF − W + 1 ready owners. They miss no acknowledged write together. Unless
// the last merge failed, it needs all ready owners: then none of them has to ask for another merge.
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
	if pt.failed == (Process{}) {
		next.Need = len(next.sources)
	}
	return next
}

// fromPending returns the merge from members of the pending sets. A source that lacks writes itself
// passes its own pending sets on with its data. Where too few members are left, the loss check decides.
// The owner becomes ready, or merges from a process that the check found, or reports possible loss and
// merges the data that exists.
func (pt *partition) fromPending(s *surroundings, out *effects) *job {
	pt.lost = false
	small := false
	for o := range pt.sets.with(markPending) {
		pt.lost = pt.lost || !pt.attainable(s, o)
		small = small || len(*o.members) < o.needed()
	}
	if pt.lost {
		found, next := pt.checkLoss(s, out)
		if found == unharmed || s.config.Without.is(WithoutLossCheck) {
			pt.becomeReady(out)
			return nil
		}
		if found == undecided {
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
		// In a small set the number of members proves nothing. One member must confirm that it has every
		// acknowledged write, and the merge includes every serving owner.
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
		// The merge does not make the owner ready. It brings the data that exists here, once.
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

// available returns the members of pending sets that offer their data now. With settledOnly it leaves out
// the members that have pending sets themselves.
func (pt *partition) available(s *surroundings, settledOnly bool) (sources []source) {
	for o := range pt.sets.with(markPending) {
		for p := range o.missing() {
			source, offers := pt.from(s, p)
			if p != s.self && offers && (!settledOnly || !source.said.sets.has(markPending)) {
				sources = append(sources, source)
			}
		}
	}
	slices.SortFunc(sources, func(a, b source) int { return a.process.Compare(b.process) })
	return slices.CompactFunc(sources, func(a, b source) bool { return a.process == b.process })
}

// suffice reports whether merging from the sources settles all pending sets, as far as is known before
// the merge.
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

// merged counts the members of a set that were merged from. This process may be a member itself, when
// another process passed the set on: its own data counts as merged.
func (s *surroundings) merged(o ownerSet) (n int) {
	for i, p := range *o.members {
		if o.merged>>i&1 == 1 || p == s.self {
			n++
		}
	}
	return n
}

// settles reports whether a pending set is settled. A set with too few members is settled when all of
// them were merged from, and one confirmed that it has every acknowledged write.
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
	// A member that is still to be merged from may confirm that it has every acknowledged write.
	return n == len(*o.members) && (o.is(markConfirmed) || had < n)
}

// settle counts a merge once each source has answered a query that was sent after the merge, or is not
// alive. A source counts when it is the same process with the same fence. A source that restarted during
// the merge may have had nothing.
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
		if done.Need == len(done.sources) {
			for _, h := range done.sources {
				pt.take(s, h)
				out.mail.note(h.process, pt.id)
			}
		}
		return
	}
	if done.Need < len(done.sources) || done.purpose == settlingAll && gone > 0 {
		return // Receive does not say which of the sources it has merged from
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
	if !pt.pending() {
		return
	}
	for i := range pt.sets {
		if o := &pt.sets[i]; o.is(markPending) && s.settles(*o) {
			o.merged, o.marks = 0, o.marks&^(markPending|markConfirmed)|markSettled
		}
	}
	if !pt.pending() {
		pt.becomeReady(out)
	}
}

// take records what a merge from a source brought. The writes that a member of a pending set lacks are
// still missing here.
func (pt *partition) take(s *surroundings, h source) {
	pt.others.at(h.process).merged = h.said.fence
	if !s.config.Without.is(WithoutAttestation) {
		pt.attest(h)
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

// attest records in which sets of the past a source was ready. The source may depart, and then cannot report
// this. A former owner that lacks nothing accepts no write any more, and all that it has is here. So it counts
// as ready also in the sets that it never saw, in which it acknowledged nothing.
func (pt *partition) attest(h source) {
	for o := range h.said.sets.with(markReady) {
		if at := pt.sets.find(o.members); at >= 0 && pt.sets[at].is(markServed) {
			pt.sets[at].attested |= o.ready(h.process, markReady)
		}
	}
	if h.said.is(flagOwner) || h.said.sets.has(markPending) {
		return
	}
	for i := range pt.sets {
		if o := &pt.sets[i]; o.is(markServed) {
			o.attested |= o.bit(h.process)
		}
	}
}

// strike marks a source as merged from in the pending sets.
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
