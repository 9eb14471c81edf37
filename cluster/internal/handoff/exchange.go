package handoff

import (
	"maps"
	"slices"
)

// flush sends the next batch. All partitions that concern one process share its messages.
func (m *Machine) flush() {
	if m.paused != 0 {
		return
	}
	queries := make(map[Process][]int)
	slices.Sort(m.mail.asking)
	asking := slices.Compact(m.mail.asking) // the list has a partition twice that was forgotten and made again
	now := min(len(asking), maxAsking)
	if m.mail.asking = asking[now:]; now == len(asking) {
		m.mail.asking = nil
	}
	for _, p := range asking[:now] {
		pt := m.parts[p]
		if pt == nil {
			continue
		}
		how := pt.asking
		pt.asking = quiet
		if pt.job != nil || !pt.unfinished(&m.around) {
			continue
		}
		pt.asking = waiting
		m.out.arm(p, Ask, how == anew)
		for _, to := range pt.wants(&m.around) {
			queries[to] = append(queries[to], p)
		}
	}
	notes := m.mail.notes
	m.mail.notes = nil
	for _, to := range slices.SortedFunc(maps.Keys(queries), Process.Compare) {
		m.count.queries++
		m.tell(to, query, m.count.queries, queries[to], nil)
	}
	for _, to := range slices.SortedFunc(maps.Keys(notes), Process.Compare) {
		if m.around.alive[to] && to != m.around.self {
			slices.Sort(notes[to])
			m.tell(to, answer, 0, slices.Compact(notes[to]), nil)
		}
	}
}

// wants returns the processes from which this process needs an answer about the partition.
func (pt *partition) wants(s *surroundings) set {
	var ask set
	switch {
	case pt.ownership != owning:
		for _, o := range pt.owners.all {
			if pt.lost || pt.others.of(o).said.merged != pt.fence {
				ask = append(ask, o)
			}
		}
	case pt.proof != nil:
		for _, h := range pt.proof.sources {
			if h.proof != proven {
				ask = append(ask, h.process)
			}
		}
	case pt.pending():
		for o := range pt.sets.with(markPending) {
			ask = slices.AppendSeq(ask, o.missing())
		}
		ask = append(ask, pt.owners.serving...)
		if pt.check != nil {
			ask = append(ask, pt.possibleHolders(s)...)
		}
	}
	if pt.ownership == owning {
		for _, o := range pt.others {
			if o.asked > 0 {
				ask = append(ask, o.process)
			}
		}
	}
	if pt.handing(s) {
		for _, o := range pt.owners.target {
			if !pt.others.of(o).said.is(flagReady) {
				ask = append(ask, o)
			}
		}
	}
	return slices.DeleteFunc(newSet(ask...), func(p Process) bool { return p == s.self || !s.alive[p] })
}

// tell sends how this process stands with partitions, in as many messages as needed. For the partitions
// in asked, it also sends the owner sets in which this process served.
func (m *Machine) tell(to Process, kind byte, number uint64, partitions []int, asked map[int]bool) {
	message, size := &Message{kind: kind, query: number, to: to.Start}, 0
	if len(asked) > 0 {
		message.departed = m.around.departed
	}
	for _, p := range partitions {
		r := m.report(p, to, asked[p])
		if pt := m.parts[p]; kind == query && (pt.check != nil || pt.lost) {
			r.flags |= flagAsks
		}
		n := 24 // the approximate size of the report in bytes
		for _, o := range r.sets {
			n += 24 * len(*o.members)
		}
		if size+n > maxMessageBytes && len(message.reports) > 0 {
			m.send(to, message)
			message, size = &Message{kind: kind, query: number, to: to.Start}, 0
		}
		message.reports = append(message.reports, r)
		size += n
	}
	m.send(to, message)
}

func (m *Machine) send(to Process, message *Message) {
	m.count.totals.Messages++
	m.out.Send = append(m.out.Send, Send{to, message})
}

// report returns how this process stands with a partition, for a message to another process.
func (m *Machine) report(p int, to Process, withPast bool) report {
	r := report{partition: p}
	if m.ring != nil && m.around.alive[to] && owns(m.ring.Placement(p), to.ID) {
		r.flags |= flagSees
	}
	pt := m.parts[p]
	if pt == nil {
		return r
	}
	var tells mark
	if withPast {
		tells = marksOfPast
	}
	if pt.ownership >= awaiting || pt.has > leftover {
		r.fence = pt.fence
	}
	if pt.ownership == owning {
		r.flags |= flagOwner
		if pt.journal >= saved {
			r.merged = pt.others.of(to).merged
		}
	}
	if pt.ready() {
		r.flags |= flagReady
	}
	if pt.offers(to) {
		r.flags |= flagOffers
		if r.asked = pt.others.of(to).asked; pt.ownership != owning {
			r.asked = pt.fence
			tells |= markReady // this process may depart; then the receiver attests that it was ready
		}
		if pt.has == complete || pt.covers(to) {
			r.flags |= flagComplete
		}
		tells |= markPending | markConfirmed
	}
	if r.sets = pt.sets.only(tells); !withPast {
		r.sets.dropWhere(markReady, func(o ownerSet) bool { return !o.members.has(to) })
	}
	return r
}

// receive stores the reports of a message, and wakes the partitions that they are about.
func (m *Machine) receive(e Received) {
	for i := range e.Message.reports {
		r := &e.Message.reports[i]
		if pt := m.parts[r.partition]; pt != nil && (pt.ownership >= awaiting || pt.has > empty) {
			m.work.wake(pt)
			pt.hear(e.From, e.Message, r)
		}
	}
}

// reply answers a query.
func (m *Machine) reply(e Received) {
	about := make([]int, 0, len(e.Message.reports))
	asked := make(map[int]bool)
	for _, r := range e.Message.reports {
		about = append(about, r.partition)
		if r.is(flagAsks) {
			asked[r.partition] = true
		}
	}
	if e.Message.kind == query {
		m.tell(e.From, answer, e.Message.query, about, asked)
	}
}

// hear stores the report of another process about a partition.
func (pt *partition) hear(from Process, message *Message, said *report) {
	o := pt.others.at(from)
	o.said = said
	if said.merged >= o.asked {
		o.asked = 0
	}
	if pt.check != nil && message.kind == answer && message.query > 0 && said.is(flagSees) {
		pt.check[from] = said
	}
	if pt.proof != nil && message.kind == answer && message.query > pt.proof.query {
		pt.proof.answered(from, said)
	}
}
