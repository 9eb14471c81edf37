package handoff

import (
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// maxPastRings is how many rings a process remembers for partitions that it comes to own.
const maxPastRings = 32

// quorumsOf are those of the configuration that a ring was built with.
func quorumsOf(r *ring.Ring) quorums {
	return quorums{uint8(r.Config().ReplicationFactor), uint8(r.Config().WriteQuorum)}
}

// membersOf returns the processes that own by a placement. Where they are the same as before it
// allocates nothing.
func membersOf(place ring.Placement, had set) set {
	same := place.Len() == len(had)
	for _, o := range place.All() {
		same = same && had.has(Process{o.ID(), o.Node().Start})
	}
	if same {
		return had
	}
	members := make(set, 0, place.Len())
	for _, o := range place.All() {
		members = append(members, Process{o.ID(), o.Node().Start})
	}
	return newSet(members...)
}

// ownersOf returns the owners of a partition.
func ownersOf(place ring.Placement, had owners) owners {
	next := owners{token: place.Token(), serving: membersOf(place, had.serving)}
	if next.target = next.serving; place.Target() != place {
		next.target = membersOf(place.Target(), had.target)
	}
	if next.all = had.all; !next.serving.is(had.serving) || !next.target.is(had.target) {
		next.all = newSet(slices.Concat(next.serving, next.target)...)
	}
	return next
}

func (v View) happen(m *Machine) {
	m.around.draining, m.around.leaving = v.Draining, v.Leaving
	m.around.alive = make(map[Process]bool, len(v.Starts))
	for id, start := range v.Starts {
		m.around.alive[Process{id, start}] = true
	}
	if v.Ring == nil || v.Ring.Len() == 0 || v.Ring.PartitionCount() == 0 {
		// No member owns, or this process cannot tell which member does: no reason to release
		// anything.
		return
	}
	before := m.ring
	if before == nil {
		before = v.Ring
	}
	m.ring, m.around.quorums = v.Ring, quorumsOf(v.Ring)
	for p := range v.Ring.PartitionCount() {
		place := v.Ring.Placement(p)
		own := place.Owns(m.around.self.ID) || place.Target().Owns(m.around.self.ID)
		pt := m.parts[p]
		switch {
		case pt == nil && !own:
			continue
		case pt == nil:
			pt = &partition{id: p, state: state{journal: m.around.unheard()}}
			m.parts[p] = pt
		case !own && pt.ownership == outside && pt.has == empty:
			continue // only its ledger is left
		}
		m.place(pt, place, own, before)
	}
	if before != v.Ring || len(m.past) == 0 {
		m.remember(v.Ring)
	}
	m.around.founding = false
}

// place takes up what a view says of one partition.
func (m *Machine) place(pt *partition, place ring.Placement, own bool, before *ring.Ring) {
	s := &m.around
	had, stays := pt.owners, own && pt.ownership == owning
	pt.owners = ownersOf(place, had)
	pt.cover(had)
	changed := pt.owners.token != had.token
	switch {
	case own && pt.ownership != owning:
		if pt.ownership != awaiting {
			m.lookBack(pt, before)
		}
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
		pt.fence = s.fence()
		m.fence(pt)
	}
	if !own && pt.ownership == awaiting {
		pt.ownership = outside
	}
	if changed {
		pt.others.forget(func(Process) bool { return true })
		pt.check = nil
		pt.journal.change()
	}
	if stays {
		pt.request(s, had)
		if was := quorumsOf(before); was.slack() > s.quorums.slack() && pt.has != complete {
			// More owners may have missed a write than the new configuration allows.
			pt.sets.await(ownerSet{members: had.serving, quorums: was})
		}
	}
	if pt.ownership == owning {
		if changed || !stays {
			pt.serve(s, stays)
		}
		if !pt.indispensable(s) {
			pt.has = partial
		}
	}
	m.forgetGone(pt)
	if changed || pt.unfinished(s) {
		m.mail.ask(pt, anew)
		m.work.wake(pt.id)
	}
}

// fence has the gate of a partition closed to all tokens but the present one.
func (m *Machine) fence(pt *partition) {
	pt.drained = m.around.config.Without.is(WithoutFence)
	m.out.Fences = append(m.out.Fences, Fence{pt.id, pt.owners.token})
	m.work.wake(pt.id)
}

// lookBack notes which sets served before this process becomes an owner, as it saw them. The last
// one is what it may lack writes of.
func (m *Machine) lookBack(pt *partition, before *ring.Ring) {
	pt.sets.drop(markBefore | markPrior)
	var had set
	for _, r := range m.past {
		had = membersOf(r.Placement(pt.id), had)
		pt.sets.addNewest(had, quorumsOf(r), markBefore)
	}
	if m.around.founding {
		return
	}
	served := membersOf(before.Placement(pt.id), nil)
	prior := slices.DeleteFunc(served, func(p Process) bool { return p.ID == m.around.self.ID })
	if len(prior) > 0 {
		pt.sets.add(prior, quorumsOf(before), markPrior)
	}
}

// request notes which of the owners came after data had come here that they may not have: this
// owner took writes that were not sent to them. A new owner merges from some of the others anyway,
// though perhaps not from this one; and an owner that owned all along on the far side of a
// partition knows of no reason to.
func (pt *partition) request(s *surroundings, had owners) {
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

// forgetGone forgets what was heard from processes that are gone, and cancels a merge that one of
// them asked for.
func (m *Machine) forgetGone(pt *partition) {
	gone := func(p Process) bool { return !m.around.alive[p] }
	pt.others.forget(gone)
	if pt.job != nil && pt.job.purpose == requested && gone(pt.job.sources[0].process) {
		m.out.Cancel = append(m.out.Cancel, pt.job.ID)
	}
	if pt.proof != nil && slices.ContainsFunc(pt.proof.sources, func(s source) bool { return gone(s.process) }) {
		pt.settle(&m.around, &m.out)
	}
}

// remember keeps a ring for partitions that this process comes to own later.
func (m *Machine) remember(r *ring.Ring) {
	m.past = append(slices.Clone(m.past[max(0, len(m.past)+1-maxPastRings):]), r)
	m.around.owners = nil
	for _, n := range slices.Concat(r.Nodes(), r.Target().Nodes()) {
		m.around.owners = append(m.around.owners, Process{n.ID, n.Start})
	}
	m.around.owners = newSet(m.around.owners...)
}
