package handoff

import (
	"slices"
)

// Fences, and the numbers of queries and jobs, are compared and nothing else. An exploration gives
// them the smallest values that compare alike. So states that differ in nothing else are one, and
// a process may ask any number of times.

// normalize gives numbers that are only compared the smallest values that compare alike: those of
// jobs, and those of queries, so that a process may ask any number of times.
func (l *local) normalize(r *result, plain bool) {
	m := l.machine
	if m == nil {
		return
	}
	pt := m.parts[0]
	if pt != nil {
		pt.forgetUnread(&m.around, plain)
		switch {
		case plain:
		case pt.job != nil:
			pt.asking = quiet
		case pt.asking == quiet && !pt.unfinished(&m.around):
			pt.asking = waiting
		}
	}
	m.count.jobs = 2
	if l.job != nil {
		job := *l.job
		job.ID, l.job = 1, &job
		if pt != nil && pt.job != nil {
			pt.job.ID = 1
		}
	}
	if l.save != nil {
		save := *l.save
		save.ID, l.save = 2, &save
	}
	if pt != nil && pt.proof != nil {
		r.thresholds = append(r.thresholds, pt.proof.query)
		pt.proof.ID = 0
	}
	if m.departure.announced > 0 {
		r.thresholds = append(r.thresholds, m.departure.announced-1)
	}
	slices.Sort(r.thresholds)
	r.thresholds = slices.Compact(r.thresholds)
	rank := func(q uint64) uint64 { return ranked(q, r.thresholds) }
	m.count.queries = rank(m.count.queries)
	if pt != nil && pt.proof != nil {
		pt.proof.query = rank(pt.proof.query)
	}
	if m.departure.announced > 0 {
		m.departure.announced = rank(m.departure.announced-1) + 1
	}
}

// ranked returns 1 and how many thresholds a number exceeds.
func ranked(q uint64, thresholds []uint64) uint64 {
	rank := uint64(1)
	for _, t := range thresholds {
		if q > t {
			rank++
		}
	}
	return rank
}

// forgetUnread forgets of the reports of others what no decision reads, unless another report comes first.
// An owner reads what another one has merged as it comes, and nothing but a request for a merge while nothing
// is pending. A former owner waits for confirmations alone.
func (pt *partition) forgetUnread(s *surroundings, plain bool) {
	if pt.pending() == 0 {
		pt.timers &^= 1 << Patience
	}
	for _, j := range []*job{pt.job, pt.proof} {
		for i := 0; j != nil && i < len(j.sources); i++ {
			said := j.sources[i].said
			j.sources[i].said = &report{flags: said.flags & flagComplete, fence: said.fence, sets: said.sets}
		}
	}
	for i := range pt.others {
		o := &pt.others[i]
		if !o.heard() {
			continue
		}
		said := *o.said
		if said.asked <= o.merged {
			said.asked = 0
		}
		switch {
		case pt.ownership == awaiting || pt.ownership == returned:
		case pt.ownership != owning:
			if said.merged != pt.fence && !plain && !s.config.Without.is(WithoutFreshness) {
				said.merged = 0
			}
			said = report{merged: said.merged}
		case pt.pending() == 0 && said.asked == 0:
			if !plain && (!pt.handing(s) || !pt.owners.target.has(o.process)) {
				said.flags = 0
			}
			if o.said = silent; said.is(flagReady) {
				o.said = &report{flags: flagReady}
			}
			continue
		default:
			said.merged = 0
		}
		o.said = &said
	}
	pt.others = slices.DeleteFunc(pt.others, func(o other) bool {
		return o.merged == 0 && o.asked == 0 && !o.heard() && o.said.flags == 0 && o.said.merged == 0
	})
}
