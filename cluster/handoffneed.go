package cluster

import (
	"slices"
	"time"
)

// needed is how many owners must be merged from so that none of their
// acknowledged writes can be missing: any so many share a member with any write
// quorum. It is counted against the configured number of owners, not against
// those there are: the others may have existed, and taken part in a write.
func (c *core) needed(owners int) int { return max(owners, c.factor) - c.quorum + 1 }

// choose picks from whom an owner that lacks data merges, nil when it has to
// wait: enough of those who serve and are ready, or else those whom it owes.
//
// Merging from those alone who go, one for one, would do as long as they are those
// who go in the end. When one of the others fails first, an owner that is ready
// so would count beside the one whose place it took, and a write that this one
// missed would be missing twice.
//
// Those who are ready do not stand for a set of owners that is harmed: on the far
// side of a cut they may not have owned with them.
func (c *core) choose(pt *part, now time.Time) *handoffJob {
	patient := now.Before(pt.since.Add(c.pace.patience))
	if c.safe.nearest {
		for _, o := range pt.owners {
			if s, ok := pt.seen[o]; ok && s.is(flagOffers) {
				return &handoffJob{sources: []handoffSource{s.source(o)}, need: 1}
			}
		}
		return nil
	}
	var job *handoffJob
	if !c.bereaved(pt) {
		job = c.quorumOf(pt)
	}
	if job == nil && !patient {
		job = c.settleUp(pt, now)
	}
	if job != nil && !job.short {
		pt.lost = false
	}
	return job
}

// quorumOf is the merge from so many of those who serve and are ready that
// nothing acknowledged can be missing.
func (c *core) quorumOf(pt *part) *handoffJob {
	job := &handoffJob{quorum: true, need: c.needed(0)}
	for _, o := range pt.owners[:pt.serving] {
		s, ok := pt.seen[o]
		if o != c.self && ok && s.is(flagReady) && s.is(flagOffers) {
			job.sources = append(job.sources, s.source(o))
		}
	}
	if len(job.sources) < job.need {
		return nil
	}
	return job
}

// settleUp is the merge from those whom this owner owes, each of them. A source
// that owes itself passes its debts on with its data. Where too few are left it
// still takes what there is, and says that something may be lost.
func (c *core) settleUp(pt *part, now time.Time) *handoffJob {
	pt.lost = slices.ContainsFunc(pt.debts, func(d debt) bool { return !c.solvent(pt, d) })
	if pt.lost {
		sound, open, job := c.inquire(pt, now)
		if sound || c.safe.noInquest {
			c.whole(pt)
		}
		if sound || open || c.safe.noInquest {
			pt.lost = false
			return job
		}
	}
	sources := c.creditors(pt, true)
	if !c.covers(pt, sources) {
		sources = c.creditors(pt, false)
		if !c.covers(pt, sources) && !pt.lost {
			return nil
		}
	}
	all := false
	if slices.ContainsFunc(pt.debts, func(d debt) bool { return len(d.owed) < c.needed(len(d.owed)) }) {
		// There were too few to tell by their number that nothing is missing:
		// one of them vouches for itself, and nobody else may know more.
		all = true
		for _, o := range pt.owners[:pt.serving] {
			s, ok := pt.seen[o]
			if o == c.self || slices.ContainsFunc(sources, func(h handoffSource) bool { return h.process == o }) {
				continue
			}
			if !ok || !s.is(flagOffers) {
				if pt.lost {
					continue
				}
				return nil
			}
			sources = append(sources, s.source(o))
		}
	}
	if pt.lost {
		// It does not help; but what there is should be here, once.
		sources = slices.DeleteFunc(sources, func(s handoffSource) bool { return pt.merged[s.process] >= s.fence })
	}
	if len(sources) == 0 {
		return nil
	}
	return &handoffJob{sources: sources, need: len(sources), all: all && !pt.lost, short: pt.lost}
}

// creditors are those owed that can be merged from now.
func (c *core) creditors(pt *part, whole bool) []handoffSource {
	var sources []handoffSource
	for _, d := range pt.debts {
		for i, o := range d.owed {
			s, ok := pt.seen[o]
			if o == c.self || d.paid>>i&1 == 1 || !ok || !s.is(flagOffers) || whole && len(s.debts) > 0 || !c.alive(o) {
				continue
			}
			if !slices.ContainsFunc(sources, func(h handoffSource) bool { return h.process == o }) {
				sources = append(sources, s.source(o))
			}
		}
	}
	slices.SortFunc(sources, func(a, b handoffSource) int { return a.compare(b.process) })
	return sources
}

// covers reports whether merging from the sources pays all debts that this owner has
// now, as far as can be told: that nobody vouches shows when all are merged from.
func (c *core) covers(pt *part, sources []handoffSource) bool {
	for _, d := range pt.debts {
		for i, o := range d.owed {
			for _, s := range sources {
				if s.process == o {
					d.paid |= 1 << i
				}
			}
		}
		if c.has(d) < min(c.needed(len(d.owed)), len(d.owed)) {
			return false
		}
	}
	return true
}

// has counts those owed that were merged from. This process may be one of them,
// when a debt came with the data of another: what is here counts. Had it been let go
// since, the owners of that time would have it, and ask those of now to merge it.
func (c *core) has(d debt) int {
	n := 0
	for i, o := range d.owed {
		if d.paid>>i&1 == 1 || o == c.self {
			n++
		}
	}
	return n
}

// settled reports whether a debt is paid. Where there were fewer owners than
// would do, all of them must have been merged from, and one of those must know
// that it missed nothing.
func (c *core) settled(d debt) bool {
	n := c.has(d)
	if need := c.needed(len(d.owed)); len(d.owed) >= need {
		return n >= need
	}
	return n == len(d.owed) && d.vouched
}

// solvent reports whether a debt can still be paid, as far as is known.
func (c *core) solvent(pt *part, d debt) bool {
	n := c.has(d)
	for i, o := range d.owed {
		if o != c.self && d.paid>>i&1 == 0 && c.alive(o) && !pt.empty(o) {
			n++
		}
	}
	need := c.needed(len(d.owed))
	if len(d.owed) >= need {
		return n >= need
	}
	return n == len(d.owed) && (d.vouched || c.has(d) < n) // that nobody vouches shows in the end
}

// empty reports whether a process has said that it has nothing of a partition
// any more.
func (pt *part) empty(o process) bool {
	r, ok := pt.seen[o]
	return ok && r.flags&^(flagSees|flagAsks|flagTenures) == 0 && r.fence == 0
}

// settle takes a merge into account once its sources have said, asked after it,
// that they are the processes they were and have held what they held
// throughout: one that was restarted in between had nothing to give.
func (c *core) settle(pt *part) {
	job := pt.proof
	proven, gone := 0, 0
	for _, s := range job.sources {
		switch {
		case job.proven[s.process]:
			proven++
		case !c.alive(s.process) || job.refuted[s.process]:
			gone++
		}
	}
	if proven+gone < len(job.sources) {
		return
	}
	pt.proof, pt.unrecorded = nil, true
	all := gone == 0
	if all && (c.safe.nearest || job.quorum && c.serve(pt, job.sources)) {
		c.whole(pt)
		return
	}
	if job.need < len(job.sources) || job.all && gone > 0 {
		return // which of them it was merged from nobody knows
	}
	for _, s := range job.sources {
		if !job.proven[s.process] {
			continue
		}
		pt.merged[s.process] = s.fence
		for _, d := range s.debts {
			pt.suspect(d.owed)
		}
		if job.ask {
			c.notes[s.process] = append(c.notes[s.process], pt.id)
		}
		if !slices.ContainsFunc(pt.debts, func(d debt) bool { return slices.Contains(d.owed, s.process) }) {
			continue
		}
		for _, d := range s.debts {
			pt.owe(d) // what it owed is owed here now
		}
	}
	for _, s := range job.sources {
		if job.proven[s.process] {
			pt.pay(s)
		}
	}
	if len(pt.debts) == 0 {
		return
	}
	pt.debts = slices.DeleteFunc(pt.debts, func(d debt) bool {
		if c.settled(d) {
			pt.paid = append(pt.paid, d)
			return true
		}
		return false
	})
	if len(pt.debts) == 0 {
		c.whole(pt)
	}
}

// serve reports whether all sources still serve the partition.
func (c *core) serve(pt *part, sources []handoffSource) bool {
	return !slices.ContainsFunc(sources, func(s handoffSource) bool {
		return !slices.Contains(pt.owners[:pt.serving], s.process)
	})
}

// pay strikes a source off the debts.
func (pt *part) pay(s handoffSource) {
	for i := range pt.debts {
		d := &pt.debts[i]
		if at := slices.Index(d.owed, s.process); at >= 0 {
			d.paid |= 1 << at
			d.vouched = d.vouched || s.full
		}
	}
}

// whole makes an owner ready.
func (c *core) whole(pt *part) {
	pt.debts, pt.paid, pt.lost, pt.unrecorded = nil, nil, false, true
	pt.complete = pt.steady
	for i := range c.tenures[pt.id] {
		c.tenures[pt.id][i].flags |= tenureReady
	}
	for who := range pt.seen {
		c.notes[who] = append(c.notes[who], pt.id)
	}
}
