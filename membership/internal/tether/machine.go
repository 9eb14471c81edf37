package tether

import (
	"slices"
	"time"
)

const (
	burstTime    = 3 * time.Second  // how long a failure makes others likely
	askPause     = time.Second      // the least time between two examinations that others ask for
	firstWait    = time.Second      // the wait after a dial that opened no tether
	maxWait      = 30 * time.Second // the wait doubles up to this one
	claimLife    = 3 * time.Second  // how long a claim counts
	maxClaims    = 16               // claims about one start
	maxDoubts    = 16               // starts that this member holds no tether to, and looks into in one pause
	reportLife   = 5 * time.Second  // how long a report counts
	claimSpread  = 4                // claims count from this multiple of the holders, because views differ
	maxWidening  = 4                // while watched starts fail, this multiple of them is watched at most
	renewPause   = time.Second      // the wait before a start with a finding is examined again
	maxRenewWait = 8 * time.Second
)

// Machine is the state of the tethers of one member. It is not safe for concurrent use.
type Machine struct {
	opts Options

	members map[string]bool // all starts believed alive, and whether they take part and stay
	circle  circle          // the starts that take part in tethers and do not leave
	holds   map[string]*hold
	memory  memory
	burst   time.Time            // until then other failures are likely
	widened int                  // watched starts that seem to fail, and have others in their place
	turned  time.Time            // the last turn
	doubts  map[string]time.Time // when this member last looked into a start that it holds no tether to
	counts  Counts

	actions []Action // the actions of the present step
}

// hold is what this member knows of one start that it holds a tether to, or wants to.
type hold struct {
	name   string
	open   bool      // the tether is open
	opened time.Time // when it was opened last
	ended  time.Time // when the end of a tether last began an examination
	misses int       // turns since the last beat
	due    time.Time // when to dial next, while the tether is not open and not examined
	wait   time.Duration
	exam   *exam
	asked  time.Time // when others last asked for an examination

	reported time.Time // when another member last believed the start dead
	guest    bool      // the start is watched for one examination only

	finding Finding // the finding of this member; zero: none
	found   time.Time
	claims  map[string]claim // the claims of other holders
	told    map[string]bool  // the holders that were told the finding
	dead    time.Time        // when this member last declared the start dead
}

// New returns the machine of a member that knows no other one.
func New(o Options) *Machine {
	m := &Machine{
		opts: o, members: make(map[string]bool), holds: make(map[string]*hold),
		memory: memory{make(map[string]*record)}, doubts: make(map[string]time.Time),
	}
	m.circle.add(o.Self)
	return m
}

// Step takes an event and returns what to do. The time must not decrease.
func (m *Machine) Step(now time.Time, e Event) []Action {
	m.actions = nil
	switch e := e.(type) {
	case Seen:
		m.seen(e, now)
	case Lost:
		m.lost(e, now)
	case Dialed:
		m.dialed(e, now)
	case Turn:
		m.turn(now)
	case Claimed:
		m.claimed(e, now)
	case Served:
		m.repeatClaims(e.Name, now)
	case Tick:
	default:
		m.heard(e, now)
	}
	for _, name := range m.order() {
		m.advance(m.holds[name], now)
	}
	if failing := m.failing(); failing != m.widened {
		m.widened = failing
		m.choose(now)
	}
	return m.actions
}

// heard takes an event about a start that this member watches.
func (m *Machine) heard(e Event, now time.Time) {
	switch e := e.(type) {
	case Pinged:
		if h := m.holds[e.Name]; h != nil && h.exam != nil {
			h.exam.pinged(e.Answered)
		}
	case Beat:
		if h := m.holds[e.Name]; h != nil && h.open {
			m.alive(h)
			h.wait = firstWait
		}
	case Ended:
		if h := m.holds[e.Name]; h != nil && h.open {
			m.ended(h, e.Parted, now)
		}
	case Doubted:
		m.doubted(e.Name, now)
	case Reported:
		m.reported(e.Name, now)
	case Refuted:
		m.memory.distrust(e.Name, now)
		if h := m.holds[e.Name]; h != nil {
			h.exam, h.finding = nil, 0
		}
	}
}

// ended begins an examination of a start whose tether has ended. A start may end each tether as soon as
// it is open, because it serves too many. Then examinations and dials become more and more rare.
func (m *Machine) ended(h *hold, parted bool, now time.Time) {
	h.open = false
	if now.Sub(h.opened) >= m.opts.Beat {
		h.wait = firstWait
	}
	examine := !parted && now.Sub(h.ended) >= h.wait
	h.due = now.Add(h.wait)
	h.wait = min(2*h.wait, maxWait)
	if examine {
		h.ended = now
		m.examine(h, now)
	}
}

// order returns the names of the watched starts in a fixed order.
func (m *Machine) order() []string {
	names := make([]string, 0, len(m.holds))
	for name := range m.holds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

func (m *Machine) seen(e Seen, now time.Time) {
	if e.Name == m.opts.Self {
		return
	}
	if _, known := m.members[e.Name]; !known && m.memory.back(e.Name, now) {
		m.counts.Back++
	}
	takes := e.Speaks && !e.Parting
	m.members[e.Name] = takes
	if takes {
		m.circle.add(e.Name)
	} else {
		m.circle.remove(e.Name)
	}
	m.choose(now)
}

func (m *Machine) lost(e Lost, now time.Time) {
	if _, known := m.members[e.Name]; !known {
		return
	}
	delete(m.members, e.Name)
	m.circle.remove(e.Name)
	if e.Failed {
		h := m.holds[e.Name]
		m.memory.fail(e.Name, h != nil && h.finding != 0, now)
		m.burst = now.Add(burstTime)
	} else {
		m.memory.forget(e.Name)
	}
	m.choose(now)
}

// fails reports whether a start seems to fail.
func (m *Machine) fails(name string) bool {
	h := m.holds[name]
	return h != nil && !h.guest && (h.finding != 0 || h.exam != nil && h.exam.shown != nothing)
}

func (m *Machine) failing() (failing int) {
	for name := range m.holds {
		if m.fails(name) {
			failing++
		}
	}
	return failing
}

// nearest returns the first starts of a list, up to the number of tethers. Starts that seem to fail
// do not count to that number.
func (m *Machine) nearest(names []string, failing bool) (nearest []string) {
	sound := 0
	for _, name := range names {
		if sound == m.opts.Held {
			break
		}
		if !m.fails(name) {
			sound++
		} else if !failing {
			continue
		}
		nearest = append(nearest, name)
	}
	return nearest
}

// choose adapts the watched starts to the circle. Neighbours may fail together. So the next starts
// are watched at once in place of those that seem to fail.
func (m *Machine) choose(now time.Time) {
	wanted := m.nearest(m.circle.after(m.opts.Self, maxWidening*m.opts.Held), true)
	for _, name := range m.order() {
		_, alive := m.members[name]
		if guest := alive && m.holds[name].guest; !guest && !slices.Contains(wanted, name) {
			m.drop(m.holds[name])
		}
	}
	for _, name := range wanted {
		if h := m.holds[name]; h != nil {
			h.guest = false
			continue
		}
		h := &hold{name: name, wait: firstWait, due: now.Add(m.opts.Rest), claims: make(map[string]claim)}
		if m.likely(now) {
			h.due = now
		}
		m.holds[name] = h
	}
	for _, name := range m.order() { // a start with a finding may have new holders
		if h := m.holds[name]; h.finding != 0 {
			m.tellHolders(h)
		}
	}
}

// drop ends the watch of a start.
func (m *Machine) drop(h *hold) {
	if h.open {
		m.do(Close{h.name})
	}
	delete(m.holds, h.name)
}

// likely reports whether other starts may fail now.
func (m *Machine) likely(now time.Time) bool { return m.widened > 0 || now.Before(m.burst) }

func (m *Machine) dialed(e Dialed, now time.Time) {
	h := m.holds[e.Name]
	switch {
	case h == nil:
		if e.Outcome == Alive {
			m.do(Close{e.Name})
		}
	case e.Outcome == Alive:
		h.open, h.opened = true, now
		m.alive(h)
		m.repeatClaims(e.Name, now)
	case e.Use != Opens:
		if h.exam != nil {
			h.exam.dialed(e)
		}
	case h.open || h.exam != nil:
	default:
		h.due = now.Add(h.wait)
		h.wait = min(2*h.wait, maxWait)
		if e.Outcome != Unclear && m.likely(now) {
			m.examine(h, now)
		}
	}
}

// alive records that the start of a tether has answered.
func (m *Machine) alive(h *hold) {
	h.misses, h.exam, h.finding = 0, nil, 0
	clear(h.claims)
}

// turn counts the turns without a beat. A turn that took long does not count: this process may have stood
// still while beats arrived. After one that took much longer than a beat, counting begins again.
func (m *Machine) turn(now time.Time) {
	var took time.Duration
	if !m.turned.IsZero() {
		took = now.Sub(m.turned)
	}
	m.turned = now
	for _, name := range m.order() {
		h := m.holds[name]
		if !h.open || h.exam != nil {
			continue
		}
		switch {
		case took > 2*m.opts.Beat:
			h.misses = 0
		case took <= 2*m.opts.Turn:
			h.misses++
		}
		if h.misses >= m.opts.Missed {
			h.misses = 0
			m.examine(h, now)
		}
	}
}

// requested begins an examination that others ask for, now and then.
func (m *Machine) requested(h *hold, now time.Time) {
	if !h.asked.IsZero() && now.Sub(h.asked) < askPause {
		return
	}
	h.asked = now
	m.examine(h, now)
}

// Counts are the counts of a machine since it was made.
type Counts struct {
	Examined uint64 // examinations
	Declared uint64 // declarations that a start is dead
	Back     uint64 // starts that came back after they had failed
}

// Counts returns the counts, and how many tethers are open.
func (m *Machine) Counts() (counts Counts, open int) {
	for _, h := range m.holds {
		if h.open {
			open++
		}
	}
	return m.counts, open
}
