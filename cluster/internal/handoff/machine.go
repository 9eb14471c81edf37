package handoff

import (
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Machine is the state of handoff in one process. Make one with [New]. It must not be used
// concurrently.
type Machine struct {
	around surroundings
	parts  []*partition // nil where this process knows nothing of a partition

	ring      *ring.Ring // the last one with owners; nil before it
	past      []era      // what earlier views ended, the newest last
	resting   []ledger   // recent ledgers of partitions that rest, at places that follow from their sums
	departure departure
	paused    PauseCause

	work  work
	mail  mail
	count counters
	out   effects
}

// counters hold the last number of each kind that a machine gave out, and count what it did.
type counters struct {
	fences  uint64 // the last fence
	jobs    uint64 // the last job
	queries uint64 // the last query
	eras    uint64 // changes of serving owners
	totals  Totals
}

// New returns a machine that knows no view.
func New(c Config) *Machine {
	m := &Machine{parts: make([]*partition, c.Partitions), departure: departure{journal: saved}, resting: make([]ledger, c.Partitions/4+1)}
	m.around = surroundings{self: c.Self, config: c, fences: &m.count.fences, shared: make([]*set, c.Partitions/16+1)}
	return m
}

// Step takes an event and returns the effects that the caller must carry out. Step neither blocks nor
// panics. The effects belong to the caller.
func (m *Machine) Step(e Event) Effects {
	m.out = effects{mail: &m.mail}
	e.happen(m)
	m.advanceAll()
	m.announce()
	m.recordDepartures()
	if m.paused == 0 && !m.mail.armed && len(m.mail.asking)+len(m.mail.notes) > 0 {
		m.mail.armed = true
		m.out.arm(WholeProcess, Batch, true)
	}
	return m.out.Effects
}

func (Founding) happen(m *Machine) { m.around.founding = true }

func (e Received) happen(m *Machine) {
	if m.around.alive[e.From] && e.Message.to == m.around.self.Start && !m.around.off() {
		m.hearDeparted(e)
		m.receive(e)
		m.advanceAll() // so that the reply covers what the query changed
		m.reply(e)
	}
}

func (e Drained) happen(m *Machine) {
	for _, p := range e.Partitions {
		if pt := m.parts[p]; pt != nil && !pt.drained {
			pt.drained = true
			m.mail.ask(pt, anew)
			if pt.ownership != owning { // a former owner may release; an owner only offers more data from now on
				m.work.wake(pt)
			}
		}
	}
}

func (e Due) happen(m *Machine) {
	for _, t := range e.Timers {
		m.due(t)
	}
}

// due processes a timer that has become due. A timer that does not matter any more changes nothing.
func (m *Machine) due(t Timer) {
	switch t {
	case Timer{WholeProcess, Batch}:
		m.mail.armed = false
		m.flush()
	case Timer{WholeProcess, Announce}:
		m.departure.armed = false
	case Timer{WholeProcess, Retry}:
		m.departure.retrying = false
	default:
		if pt := m.parts[t.Partition]; pt == nil {
			return
		} else if t.Kind == Ask && pt.asking == waiting {
			m.mail.ask(pt, again)
			m.work.wake(pt)
		} else if pt.timers.has(t.Kind) {
			pt.timers &^= 1 << t.Kind
			m.work.wake(pt)
		}
	}
}

func (e Paused) happen(m *Machine) {
	was := m.paused
	if e.On {
		m.paused |= e.Cause
	} else {
		m.paused &^= e.Cause
	}
	if (was == 0) == (m.paused == 0) {
		return
	}
	for _, pt := range m.parts {
		if pt != nil {
			m.mail.ask(pt, anew)
			m.work.wake(pt)
		}
	}
}

func (e LossAccepted) happen(m *Machine) {
	if pt := m.parts[e.Partition]; pt != nil && pt.lost {
		m.work.wake(pt)
		pt.sets.drop(markPending)
		pt.lost = false
		pt.journal.change()
	}
}

// advanceAll advances each partition that was woken. While fewer than Parallel jobs run, it also advances
// the partitions that wait to begin a job.
func (m *Machine) advanceAll() {
	for w := &m.work; ; {
		switch {
		case len(w.queue) > 0:
			next := 0
			for next < len(w.queue) {
				pt := w.queue[next]
				pt.queued, pt.rests = false, false
				m.advanceOne(pt)
				next++
			}
			if w.queue = w.queue[:0]; cap(w.queue) > 1024 {
				w.queue = nil
			}
		case len(w.waiting) > 0 && w.running < m.around.config.Parallel && m.paused == 0:
			p := w.waiting[0]
			w.waiting = w.waiting[1:]
			if pt := m.parts[p]; pt != nil {
				m.advanceOne(pt)
			}
		default:
			return
		}
	}
}

// advanceOne advances a partition and reports how the process stands with it then.
func (m *Machine) advanceOne(pt *partition) {
	m.advance(pt)
	m.out.Changed = append(m.out.Changed, Change{pt.id, m.Standing(pt.id)})
}

// advance begins the next job of a partition, or has the partition ask other processes, or finds that
// there is nothing to do.
func (m *Machine) advance(pt *partition) {
	if pt.job != nil {
		return
	}
	pt.stir()
	if pt.ownership < awaiting && pt.has == empty {
		pt.begun = m.count.eras
		if m.rest(pt); !pt.sets.has(markServed) {
			m.parts[pt.id] = nil
		}
		return
	}
	if pt.proof != nil {
		pt.settle(&m.around, &m.out)
	}
	var next *job
	if pt.journal >= saved {
		next = pt.next(&m.around, &m.out)
	}
	if next == nil && pt.unrecorded(&m.around) {
		next = &job{Job: Job{Kind: Save}}
	}
	switch {
	case next == nil || m.paused != 0 || pt.timers.has(Retry):
	case m.work.running >= m.around.config.Parallel:
		if !slices.Contains(m.work.waiting, pt.id) {
			m.work.waiting = append(m.work.waiting, pt.id)
		}
	default:
		m.start(pt, next)
		return
	}
	if unfinished := pt.unfinished(&m.around); unfinished && pt.asking == quiet {
		m.mail.ask(pt, anew)
	} else if !unfinished && next == nil && pt.check == nil && pt.ready() {
		// The fences of merges are kept, because other processes may ask again.
		pt.others.forget()
		m.rest(pt)
	}
}

// start begins a job of a partition.
func (m *Machine) start(pt *partition, next *job) {
	switch {
	case next.Kind == Save:
		next.Record = m.record(pt, true)
		pt.journal++ // from unsaved to saving
		pt.journal = min(pt.journal, saved)
	case next.Kind == Release && m.around.config.Durable:
		next.Record = m.record(pt, false)
	}
	m.count.jobs++
	m.work.running++
	next.ID, next.Partition, next.begun = m.count.jobs, pt.id, pt.begun
	for _, source := range next.sources {
		next.Sources = append(next.Sources, source.process)
	}
	pt.job = next
	m.out.Start = append(m.out.Start, next.Job)
}

func (e Ended) happen(m *Machine) {
	if e.Partition == WholeProcess {
		m.departuresRecorded(e.Failed)
		return
	}
	pt := m.parts[e.Partition]
	if pt == nil || pt.job == nil || pt.job.ID != e.ID {
		m.out.Stale = true
		return
	}
	done := pt.job
	pt.job = nil
	m.work.running--
	m.mail.ask(pt, anew)
	m.work.wake(pt)
	switch {
	case done.Kind == Merge && pt.ownership != owning, done.Kind != Release && done.begun != pt.begun:
		// The job belongs to an ownership that is over. The data that it merged is handed over with the
		// rest, and nothing was confirmed. The record is written again.
		m.out.Stale = true
	case e.Failed:
		m.failed(pt, done)
	case done.Kind == Save:
		pt.journal.end()
	case done.Kind == Release:
		m.count.totals.Released++
		pt.becomeEmpty(&m.around)
	default:
		m.count.totals.Received++
		pt.failed = Process{}
		done.query = m.count.queries
		for i := range done.sources {
			if m.around.config.Without.is(WithoutProof) {
				done.sources[i].proof = proven
			}
		}
		pt.proof = done
	}
	if pt.ownership == awaiting {
		// After a failed release, part of the data may be gone. The new owner merges from other
		// processes, and needs none of that data.
		pt.becomeOwner(&m.around, &m.out)
	}
}

// failed processes the failure of a job.
func (m *Machine) failed(pt *partition, done *job) {
	pt.timers |= 1 << Retry
	m.out.arm(pt.id, Retry, false)
	if done.Kind == Merge {
		pt.failed = done.sources[0].process
	}
	if m.around.config.Durable {
		switch done.Kind {
		case Release:
			pt.journal = unsaved // the content of the journal is not known
		case Save:
			pt.journal.change()
		}
	}
}
