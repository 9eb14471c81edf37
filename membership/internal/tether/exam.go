package tether

import (
	"strings"
	"time"
)

const (
	earlyDials = 100 * time.Millisecond // between two dials before the one that decides
	lateDials  = 50 * time.Millisecond  // between two dials from then on
	maxFlying  = 8                      // dials of one examination at a time
)

// exam is an examination of one start.
type exam struct {
	began  time.Time
	due    time.Time // when to dial next
	flying int       // dials without an outcome
	shown  shown
	by     string // another start that answered
	pings  pings
}

// shown is what the dials of an examination have shown so far.
type shown uint8

const (
	nothing shown = iota
	silence       // a dial timed out
	answers       // a dial had an answer that decides nothing
	absence       // a dial that decides was refused, or another start answered it
)

type pings uint8

const (
	pingsOut pings = iota
	pingsUnanswered
	pingsAnswered
)

// examine begins an examination. It does nothing while there is one, nor for a start that is
// distrusted.
func (m *Machine) examine(h *hold, now time.Time) {
	if h.exam != nil || m.memory.distrusts(h.name, now) {
		return
	}
	h.exam = &exam{began: now, due: now}
	m.counts.Examined++
	m.do(Ping{h.name})
}

func (e *exam) pinged(answered bool) {
	if e.pings = pingsUnanswered; answered {
		e.pings = pingsAnswered
	}
}

func (e *exam) dialed(d Dialed) {
	e.flying--
	if d.Outcome == Replaced {
		e.by = d.By
	}
	switch {
	case d.Outcome == TimedOut:
		e.shown = max(e.shown, silence)
	case d.Outcome == Unclear: // a later dial decides
		e.shown = answers
	case d.Use == Decides:
		e.shown = absence
	default:
		e.shown = max(e.shown, answers)
	}
}

// advance does what is due for a watched start.
func (m *Machine) advance(h *hold, now time.Time) {
	if h.exam == nil {
		if h.guest {
			m.drop(h)
			return
		}
		if h.open || now.Before(h.due) {
			return
		}
		h.due = now.Add(maxWait) // until the outcome is known
		if h.finding == 0 {
			m.do(Dial{h.name, Opens})
			return
		}
		if m.examine(h, now); h.exam == nil {
			h.finding = 0
			return
		}
	}
	e := h.exam
	switch finding := m.assess(e, h.name, now); {
	case finding != 0:
		m.conclude(h, finding, now)
	case e.pings == pingsAnswered, now.Sub(e.began) >= m.opts.Limit:
		h.exam, h.finding = nil, 0
		h.due = now.Add(h.wait)
		h.wait = min(2*h.wait, maxWait)
	case !now.Before(e.due):
		m.look(h, e, now)
	}
}

// look dials a start that is being examined.
func (m *Machine) look(h *hold, e *exam, now time.Time) {
	use, settled := Decides, e.began.Add(m.opts.Settle)
	e.due = now.Add(lateDials)
	if now.Before(settled) {
		use, e.due = Looks, now.Add(earlyDials)
		if e.due.After(settled.Add(-earlyDials / 2)) {
			e.due = settled
		}
	}
	if e.flying < maxFlying {
		e.flying++
		m.do(Dial{h.name, use})
	}
}

// assess returns the finding of an examination, or zero while there is none.
//
// When another start of the same NodeID answers, the finding waits until the end of the examination.
// Every member then knows that start, so that the NodeID never leaves the list of members.
func (m *Machine) assess(e *exam, name string, now time.Time) Finding {
	age := now.Sub(e.began)
	if age < m.opts.Settle || e.pings != pingsUnanswered {
		return 0
	}
	switch e.shown {
	case absence:
		if sameID(e.by, name) && age < m.opts.Limit-lateDials {
			return 0
		}
		return Gone
	case silence:
		return Silent
	default:
		return 0
	}
}

// sameID reports whether two starts are of one NodeID.
func sameID(a, b string) bool {
	i, j := strings.LastIndexByte(a, '~'), strings.LastIndexByte(b, '~')
	return i > 0 && j > 0 && a[:i] == b[:j]
}

// conclude records a finding and tells the other holders.
func (m *Machine) conclude(h *hold, f Finding, now time.Time) {
	if h.open {
		h.open = false
		m.do(Close{h.name})
	}
	if h.finding == 0 {
		h.wait = renewPause
	}
	h.exam, h.finding, h.found, h.told = nil, f, now, make(map[string]bool)
	h.due = now.Add(h.wait)
	h.wait = min(2*h.wait, maxRenewWait)
	if f == Silent {
		m.do(Suspect{h.name})
	}
	m.tellHolders(h)
	m.agree(h, now)
}

// Next returns when the event [Tick] is due. The zero time means never.
func (m *Machine) Next() (next time.Time) {
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, h := range m.holds {
		switch e := h.exam; {
		case e != nil:
			sooner(e.due)
			sooner(e.began.Add(m.opts.Limit))
		case !h.open:
			sooner(h.due)
		}
	}
	return next
}
