package handoff

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

// The functions below are for the explorer, and random worlds check them: a copy of a machine, and its
// state as canonical bytes.

// all iterates over the partitions that the process knows something of.
func (m *Machine) all() iter.Seq[*partition] {
	return func(yield func(*partition) bool) {
		for _, pt := range m.parts {
			if pt != nil && !yield(pt) {
				return
			}
		}
	}
}

// Clone returns a machine with the same state that shares nothing with m that either of
// them changes.
func (m *Machine) Clone() *Machine {
	c := *m
	c.around.fences, c.around.shared = &c.count.fences, slices.Clone(m.around.shared)
	c.departure.told = maps.Clone(m.departure.told)
	c.work.waiting = slices.Clone(m.work.waiting) // the queue is empty between two steps
	c.mail.asking, c.mail.notes = slices.Clone(m.mail.asking), maps.Clone(m.mail.notes)
	for p, partitions := range c.mail.notes {
		c.mail.notes[p] = slices.Clone(partitions)
	}
	c.parts, c.resting = slices.Clone(m.parts), slices.Clone(m.resting)
	for pt := range m.all() {
		c.parts[pt.id] = pt.clone()
	}
	return &c
}

// clone copies the parts that a machine changes in place. Sets, reports and jobs without proof are never
// changed in place.
func (pt *partition) clone() *partition {
	c := *pt
	c.activity = &activity{job: pt.job, proof: pt.proof, failed: pt.failed}
	c.sets, c.others, c.check = slices.Clone(pt.sets), slices.Clone(pt.others), maps.Clone(pt.check)
	for _, j := range []**job{&c.job, &c.proof} {
		if *j != nil {
			next := **j
			next.sources = slices.Clone(next.sources)
			*j = &next
		}
	}
	return &c
}

// AppendState appends bytes that are equal for machines of equal state. Such machines return equal
// effects for equal events. A process is written as the number that the caller gives it; fences and
// queries are written as they are.
func (m *Machine) AppendState(b []byte, number func(Process) byte) []byte {
	w := writer{b, number}
	s, d := &m.around, &m.departure
	w.bits(s.founding, s.draining, s.leaving, m.mail.armed, d.retrying, d.armed)
	w.numbers(uint64(m.paused), d.since, uint64(d.journal), uint64(s.quorums.factor), uint64(s.quorums.writes), d.announced, m.count.fences, m.count.queries, m.count.jobs, uint64(m.work.running))
	for _, p := range slices.SortedFunc(maps.Keys(s.alive), Process.Compare) {
		w.set(set{p})
		w.bits(s.alive[p])
	}
	w.set(slices.SortedFunc(maps.Keys(d.told), Process.Compare))
	w.set(s.departed)
	w.set(s.owners)
	for pt := range m.all() {
		w.partition(pt)
	}
	for _, list := range [][]int{m.mail.asking, m.work.waiting} {
		w.numbers(uint64(len(list)))
		for _, p := range list {
			w.numbers(uint64(p))
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(m.mail.notes), Process.Compare) {
		w.set(set{p})
		w.numbers(uint64(len(m.mail.notes[p])))
	}
	if m.ring != nil {
		w.past(m)
	}
	return w.b
}

// past writes the owner sets of past views that a partition looks back at.
func (w *writer) past(m *Machine) {
	for p := range m.ring.PartitionCount() {
		var seen ledger
		for i := range m.past {
			if had := m.past[i].of(p); had != nil {
				seen.addNewest(had, m.past[i].quorums, markBefore)
			}
		}
		w.ledger(seen)
		w.numbers(uint64(m.ring.Placement(p).Token()))
	}
}

// writer appends the parts of a state.
type writer struct {
	b      []byte
	number func(Process) byte
}

func (w *writer) numbers(all ...uint64) {
	for _, n := range all {
		w.b = binary.AppendUvarint(w.b, n)
	}
}

func (w *writer) bits(all ...bool) {
	var b byte
	for i, is := range all {
		if is {
			b |= 1 << i
		}
	}
	w.b = append(w.b, b)
}

func (w *writer) set(s set) {
	w.b = append(w.b, byte(len(s)))
	for _, p := range s {
		w.b = append(w.b, w.number(p))
	}
}

func (w *writer) ledger(l ledger) {
	w.b = append(w.b, byte(len(l)))
	for _, o := range l {
		w.set(*o.members)
		w.numbers(uint64(o.factor), uint64(o.writes), uint64(o.merged), uint64(o.attested), uint64(o.marks))
	}
}

func (w *writer) report(r report) {
	w.b = append(w.b, r.flags)
	w.numbers(r.fence, r.merged, r.asked)
	w.ledger(r.sets)
}

func (w *writer) others(all others) {
	w.b = append(w.b, byte(len(all)))
	for _, o := range all {
		w.set(set{o.process})
		w.numbers(o.merged, o.asked)
		w.bits(o.heard())
		w.report(*o.said)
	}
}

func (w *writer) partition(pt *partition) {
	w.numbers(uint64(pt.id), uint64(pt.covered), pt.begun, pt.fence)
	w.b = append(w.b, byte(pt.ownership), byte(pt.has), byte(pt.journal), byte(pt.asking), byte(pt.timers))
	w.bits(pt.drained, pt.lost, pt.check != nil, pt.job != nil, pt.proof != nil, pt.rests)
	for _, s := range []set{pt.owners.serving, pt.owners.target} {
		w.set(s)
	}
	w.ledger(pt.sets)
	if w.bits(pt.failed != (Process{})); pt.failed != (Process{}) {
		w.set(set{pt.failed})
	}
	w.others(pt.others)
	for _, p := range slices.SortedFunc(maps.Keys(pt.check), Process.Compare) {
		w.set(set{p})
		w.report(*pt.check[p])
	}
	for _, j := range []*job{pt.job, pt.proof} {
		if j == nil {
			continue
		}
		w.b = append(w.b, byte(j.Kind), byte(j.purpose), byte(len(j.sources)))
		w.numbers(j.ID, j.begun, j.query, uint64(j.Need))
		for _, h := range j.sources {
			w.set(set{h.process})
			w.b = append(w.b, byte(h.proof))
			w.report(*h.said)
		}
	}
}
