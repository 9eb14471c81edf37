package handoff

import "slices"

// On the far side of a cut, a process that left after handing everything over is indistinguishable from a
// crash. It would count toward possible loss. So a process announces to every owner that it departs,
// before it leaves. The owners remember the departure, in their journals too, and report it to every
// process that runs a loss check.

// departure is what a process knows of departures, its own included.
type departure struct {
	since    uint64   // the fence of the last view under which handoff was off: older records do not count
	journal  recorded // what the journal knows of departures
	retrying bool     // a save of departures failed, and the retry timer is armed

	announced uint64           // the first query that announced the departure of this process; 0: none
	told      map[Process]bool // the processes that confirmed the departure of this process
	armed     bool             // the timer of the next announcement is armed
}

// rememberDeparted stores processes that departed.
func (m *Machine) rememberDeparted(processes []Process) {
	s := &m.around
	for _, p := range processes {
		if !slices.Contains(s.departed, p) && !s.config.Without.is(WithoutDepartures) {
			s.departed = append(slices.Clone(s.departed[max(0, len(s.departed)+1-maxDeparted):]), p)
			m.departure.journal.change()
		}
	}
}

// hearDeparted stores the departures that a message names. It believes a departure that the process
// itself announces. From another process it believes only the departure of a process that is not in the
// view. Otherwise, if the named process crashed later, a false notice would hide that data is lost. It
// also notes that the sender confirms the departure of this process.
func (m *Machine) hearDeparted(e Received) {
	var believed []Process
	for _, p := range e.Message.departed {
		if _, here := m.around.alive[p]; !here || p == e.From {
			believed = append(believed, p)
		}
	}
	m.rememberDeparted(believed)
	d := &m.departure
	if d.announced > 0 && e.Message.kind == answer && e.Message.query >= d.announced && len(e.Message.reports) == 0 {
		d.told[e.From] = true
	}
}

// announce sends the departure of this process to every owner that has not confirmed it, once the leaving
// process has no data left.
func (m *Machine) announce() {
	d := &m.departure
	if !m.around.leaving || m.paused != 0 || d.armed || m.Summary().Held > 0 {
		return
	}
	left := m.untold()
	if len(left) == 0 {
		return
	}
	d.armed = true
	m.out.arm(WholeProcess, Announce, d.announced == 0)
	m.count.queries++
	if d.announced == 0 {
		d.announced, d.told = m.count.queries, make(map[Process]bool)
	}
	for _, to := range left {
		m.send(to, &Message{kind: query, query: m.count.queries, to: to.Start, departed: []Process{m.around.self}})
	}
}

// untold returns the live owners that have not confirmed the departure.
func (m *Machine) untold() set {
	return slices.DeleteFunc(slices.Clone(m.around.owners), func(p Process) bool {
		return p == m.around.self || !m.around.alive[p] || m.departure.told[p]
	})
}

// recordDepartures starts a job that saves the departed processes in the journal.
func (m *Machine) recordDepartures() {
	d := &m.departure
	if !m.around.config.Durable || d.journal != stale || d.retrying || m.paused != 0 {
		return
	}
	m.count.jobs++
	d.journal = saving
	record := (&Message{kind: stored, query: d.since, to: m.around.self.Start, departed: m.around.departed}).Bytes()
	m.out.Start = append(m.out.Start, Job{ID: m.count.jobs, Partition: WholeProcess, Kind: Save, Record: record})
}

// departuresRecorded processes the end of the job that recordDepartures started.
func (m *Machine) departuresRecorded(failed bool) {
	d := &m.departure
	if d.journal.end(); failed {
		d.journal, d.retrying = stale, true
		m.out.arm(WholeProcess, Retry, false)
	}
}
