package handoff

import "slices"

// On the far side of a cut a process that left after handing everything over would be
// indistinguishable from one that crashed, and would count toward possible loss. So a process
// announces to every owner that it departs, before it leaves. They remember it, in their journals
// too, and tell every process that runs a loss check.

// departure is what a process knows of departures, its own included.
type departure struct {
	since    uint64   // the fence of the last view under which handoff was off: older records count no more
	journal  recorded // what the journal knows of them
	retrying bool     // it failed, and the timer is armed

	announced uint64           // the first query that announced this process's own; 0: none
	told      map[Process]bool // the processes that confirmed it
	armed     bool             // the timer of the next announcement
}

// rememberDeparted takes up processes that departed.
func (m *Machine) rememberDeparted(processes []Process) {
	s := &m.around
	for _, p := range processes {
		if !slices.Contains(s.departed, p) && !s.config.Without.is(WithoutDepartures) {
			s.departed = append(slices.Clone(s.departed[max(0, len(s.departed)+1-maxDeparted):]), p)
			m.departure.journal.change()
		}
	}
}

// hearDeparted takes what a message says of departures.
func (m *Machine) hearDeparted(e Received) {
	m.rememberDeparted(e.Message.departed)
	d := &m.departure
	if d.announced > 0 && e.Message.kind == answer && e.Message.query >= d.announced && len(e.Message.reports) == 0 {
		d.told[e.From] = true
	}
}

// announce tells the owners that do not know it yet that this process departs, when it has nothing
// left.
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

// untold are the owners alive that have not confirmed the departure.
func (m *Machine) untold() set {
	return slices.DeleteFunc(slices.Clone(m.around.owners), func(p Process) bool {
		return p == m.around.self || !m.around.alive[p] || m.departure.told[p]
	})
}

// recordDepartures has the journal told which processes departed.
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

// departuresRecorded takes the end of that job.
func (m *Machine) departuresRecorded(failed bool) {
	d := &m.departure
	if d.journal.end(); failed {
		d.journal, d.retrying = stale, true
		m.out.arm(WholeProcess, Retry, false)
	}
}
