package handoff

import (
	"cmp"
	"maps"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// quorumsOf returns the quorums of the configuration that a ring was built with.
func quorumsOf(r *ring.Ring) quorums {
	return quorums{uint8(r.Config().ReplicationFactor), uint8(r.Config().WriteQuorum)}
}

// owns reports whether a member owns a partition, now or in the target.
func owns(place ring.Placement, id string) bool { return place.Owns(id) || place.Target().Owns(id) }

// process returns the process of a node.
func (s *surroundings) process(n ring.Node) Process {
	return Process{n.ID, cmp.Or(n.Start, s.starts[n.ID])}
}

// Compared compares the ring of the view with the one before it, which may be nil. That is most of the
// work of a view that needs no lock; without it Step does this work.
func (v View) Compared(before *ring.Ring) View {
	if v.owned() {
		first := before.Len() == 0 || v.Ring.Config().WriteQuorum == 0
		if first {
			before = v.Ring
		}
		v.compared = compare(before, v.Ring, first)
	}
	return v
}

// owned reports whether any member owns.
func (v View) owned() bool { return v.Ring.Len() > 0 && v.Ring.PartitionCount() > 0 }

func (v View) happen(m *Machine) {
	v.announce(m)
	if !v.owned() {
		// No member owns, or this process cannot tell which member does: no reason to release
		// anything.
		return
	}
	before, wasOff := m.ring, m.around.off()
	v.install(m, wasOff)
	v.review(m, before, wasOff)
}

// announce takes up the states that members announce.
func (v View) announce(m *Machine) {
	s := &m.around
	if s.draining != v.Draining || s.leaving != v.Leaving {
		s.draining, s.leaving = v.Draining, v.Leaving
		for _, pt := range m.parts {
			if pt != nil {
				pt.rests = false
			}
		}
	}
	s.alive = make(map[Process]bool, len(v.Starts))
	for id, start := range v.Starts {
		s.alive[Process{id, start}] = !v.Away[id]
	}
}

// install takes up the ring and its owners. wasOff says whether handoff was off in the view before.
func (v View) install(m *Machine, wasOff bool) {
	s := &m.around
	m.ring, s.quorums = v.Ring, quorumsOf(v.Ring)
	s.founding = s.off() || s.founding && !wasOff
	if s.off() {
		// All tracking ends, also in the journal. Each owner counts as a founder, and is complete.
		s.draining, s.leaving = false, false
		m.past, m.departure.since, s.starts = nil, s.fence(), v.Starts
		m.departure.journal.change()
	}
	s.owners = nil
	for _, n := range slices.Concat(v.Ring.Nodes(), v.Ring.Target().Nodes()) {
		s.owners = append(s.owners, s.process(n))
	}
	s.owners = newSet(s.owners...)
}

// review takes up the owners of each partition that the view concerns, and advances these partitions.
func (v View) review(m *Machine, before *ring.Ring, wasOff bool) {
	s := &m.around
	off := s.off()
	first := before == nil || off
	if first {
		before = v.Ring
	}
	c := v.compared
	if c == nil || c.before != before || c.after != v.Ring || c.all != first {
		c = compare(before, v.Ring, first)
	}
	q, ended := quorumsOf(before).counted(), era{quorums: quorumsOf(before).counted()}
	m.out.Changed, m.out.Fences = make([]Change, 0, c.moved), make([]Fence, 0, c.moved)
	m.mail.asking = slices.Grow(m.mail.asking, c.moved)
	for p, pt := range m.parts {
		if pt != nil && pt.ownership == outside && pt.rests && m.count.eras-pt.begun > maxPast {
			pt, m.parts[p] = nil, nil // no process looks back further
		}
		d := c.of(p)
		if !d.moved && (pt == nil || pt.rests) {
			continue
		}
		var next, served *owners
		if d.moved {
			next, served = c.now.of(int(d.now), s), c.was.of(int(d.was), s)
		} else if next = pt.owners; pt.ownership < awaiting || wasOff || q != s.quorums.counted() {
			d.was = uint32(c.was.number(before.Placement(p), false))
			served = c.was.of(int(d.was), s)
		}
		if !first && (q != s.quorums.counted() || d.moved && !served.serving.is(next.serving)) {
			ended.end(p, len(m.parts), int(d.was))
		}
		if pt != nil && (off || wasOff) {
			m.anew(pt)
		}
		own := next.own && !m.Departed()
		switch {
		case pt == nil && !own:
			continue
		case pt == nil:
			pt = &partition{id: p, owners: &owners{}, activity: &activity{}, state: state{journal: s.unheard()}}
			m.parts[p] = pt
		case !own && pt.ownership == outside && pt.has == empty:
			continue // only its ledger is left
		}
		pt.stir()
		if own && pt.ownership < awaiting {
			m.lookBack(pt, served.served, q, first)
		}
		m.place(pt, next, own, d.moved || wasOff, q)
		m.advanceAll() // here, while the partition is in the processor's cache
	}
	if ended.owners = c.was.owners; ended.low != nil {
		m.count.eras++
		m.past = append(slices.Clone(m.past[max(0, len(m.past)+1-maxPast):]), ended)
	}
	s.founding = off
}

// anew forgets all state of a partition except a running job: no other job begins before it has ended.
// When handoff is turned on, a serving owner is complete instead.
func (m *Machine) anew(pt *partition) {
	if m.work.wake(pt); !m.around.off() && pt.ownership == owning && pt.owners.serving.has(m.around.self) {
		pt.has, pt.journal = complete, m.around.unheard()
		return
	}
	if pt.job != nil {
		m.out.Cancel = append(m.out.Cancel, pt.job.ID)
	}
	*pt = partition{id: pt.id, activity: &activity{job: pt.job}, owners: &owners{}, state: state{journal: m.around.unheard()}, attention: attention{queued: true}}
}

// place applies a view to one partition: its owners, and whether this process owns it. With
// changed, the token differs from that of the view before, or handoff was off in that view. The argument
// before has the quorums of that view.
func (m *Machine) place(pt *partition, next *owners, own, changed bool, before quorums) {
	s := &m.around
	had, stays := pt.owners, own && pt.ownership == owning
	pt.owners = next
	pt.cover(had)
	switch {
	case own && pt.ownership != owning:
		if pt.releasing() {
			pt.ownership = awaiting
		} else {
			pt.becomeOwner(s, &m.out)
		}
		m.fence(pt)
	case !own && pt.ownership == owning:
		pt.becomeFormer(s, &m.out)
		m.fence(pt)
	case changed && pt.ownership == owning:
		if pt.fence = s.fence(); pt.ready() {
			pt.sets.drop(markBefore) // a ready owner needs no sets of its past
		}
		m.fence(pt)
	}
	if !own && pt.ownership == awaiting {
		pt.ownership = outside
	}
	if changed {
		pt.others.forget()
		pt.check = nil
		pt.journal.change()
	}
	if stays {
		pt.request(s, had)
		if before.slack() > s.quorums.slack() && pt.has != complete {
			// More owners may have missed a write than the new configuration allows.
			pt.sets.await(ownerSet{members: had.served, quorums: before})
		}
		if changed {
			pt.serve(s, true)
		}
		pt.weaken(s)
	}
	m.forgetGone(pt)
	if changed || pt.unfinished(s) {
		m.mail.ask(pt, anew)
		m.work.wake(pt)
	}
}

// fence asks the driver to close the gate of a partition to all tokens but the present one.
func (m *Machine) fence(pt *partition) {
	pt.drained = m.around.config.Without.is(WithoutFence)
	m.out.Fences = append(m.out.Fences, Fence{pt.id, m.ring.Placement(pt.id).Token()})
	m.work.wake(pt)
}

// lookBack records which sets served before this process becomes an owner, as the process saw them. The
// process may lack writes of the last one. In the first view, the last one is the set that serves now.
func (m *Machine) lookBack(pt *partition, served *set, q quorums, first bool) {
	pt.sets.drop(markBefore | markPrior)
	for i := range m.past {
		if had := m.past[i].of(pt.id); had != nil {
			pt.sets.addNewest(had, m.past[i].quorums, markBefore)
		}
	}
	if !first {
		pt.sets.addNewest(served, q, markBefore)
	}
	if m.around.founding {
		return
	}
	self := func(p Process) bool { return p.ID == m.around.self.ID }
	if slices.ContainsFunc(*served, self) {
		others := slices.DeleteFunc(slices.Clone(*served), self)
		served = &others
	}
	if len(*served) > 0 {
		pt.sets.add(served, q, markPrior)
	}
}

// request asks the owners that are new in this view to merge the data that is here: this owner has
// accepted writes that were not sent to them. A new owner merges from some owners anyway, but perhaps not
// from this one. An owner that owned all along on the far side of a cut does not know that it lacks
// anything.
func (pt *partition) request(s *surroundings, had *owners) {
	for i := range pt.others {
		if o := &pt.others[i]; !pt.owners.all.has(o.process) {
			o.asked = 0
		}
	}
	for _, o := range pt.owners.all {
		if o != s.self && !had.all.has(o) && !s.config.Without.is(WithoutRequests) {
			pt.others.at(o).asked = pt.fence
		}
	}
}

// forgetGone forgets the reports of processes that are gone or away, and cancels a merge that one of them
// asked for. A loss check keeps the answers of processes that are gone, and waits for processes that are
// away.
func (m *Machine) forgetGone(pt *partition) {
	gone := func(p Process) bool { return !m.around.alive[p] }
	for i := range slices.Backward(pt.others) { // nearly always there is nothing to delete
		if gone(pt.others[i].process) {
			pt.others = slices.Delete(pt.others, i, i+1)
		}
	}
	maps.DeleteFunc(pt.check, func(p Process, _ *report) bool { return gone(p) && m.around.stays(p) })
	if pt.job != nil && pt.job.purpose == requested && slices.ContainsFunc(pt.job.sources, func(h source) bool { return gone(h.process) }) {
		m.out.Cancel = append(m.out.Cancel, pt.job.ID)
	}
	if pt.proof != nil && slices.ContainsFunc(pt.proof.sources, func(s source) bool { return gone(s.process) }) {
		pt.settle(&m.around, &m.out)
		m.work.wake(pt) // the partition may be ready now
	}
}
