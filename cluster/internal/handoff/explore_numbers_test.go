package handoff

import (
	"slices"
)

// Fences, and the numbers of queries and jobs, are only compared. An exploration gives them the smallest
// values that compare alike. So states that differ only in such numbers are one state, and a process may
// ask any number of times.

// normalize gives the numbers of jobs and queries the smallest values that compare alike.
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

// ranked returns 1 + the number of thresholds that a number exceeds.
func ranked(q uint64, thresholds []uint64) uint64 {
	rank := uint64(1)
	for _, t := range thresholds {
		if q > t {
			rank++
		}
	}
	return rank
}

// forgetUnread removes from the reports of other processes the fields that no decision reads before the
// next report. An owner reads which fence another process has merged as soon as the report arrives. While
// nothing is pending, an owner reads only requests for a merge. A former owner reads only confirmations.
func (pt *partition) forgetUnread(s *surroundings, plain bool) {
	pt.stir()
	if !pt.pending() {
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
		case !pt.pending() && said.asked == 0:
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
