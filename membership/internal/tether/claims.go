package tether

import (
	"slices"
	"time"
)

// claim is the finding of another holder.
type claim struct {
	finding Finding
	at      time.Time
}

// doubted examines a start, or asks its holders to do that.
func (m *Machine) doubted(name string, now time.Time) {
	if h := m.holds[name]; h != nil {
		m.requested(h, now)
		return
	}
	if !m.members[name] || !m.mayLook(name, now) {
		return
	}
	for _, to := range m.holdersOf(name) {
		m.do(Claim{to, name, Doubt})
	}
}

// mayLook reports whether this member may look into a start that it holds no tether to. It counts that.
func (m *Machine) mayLook(name string, now time.Time) bool {
	for other, at := range m.doubts {
		if now.Sub(at) >= askPause {
			delete(m.doubts, other)
		}
	}
	if _, lately := m.doubts[name]; lately || len(m.doubts) >= maxDoubts {
		return false
	}
	m.doubts[name] = now
	return true
}

// reported examines a start that another member believes dead. It does so for a start that this member
// holds no tether to as well: the holders believe it dead, or have no reason to look.
func (m *Machine) reported(name string, now time.Time) {
	if h := m.holds[name]; h != nil {
		h.reported = now
		m.requested(h, now)
		return
	}
	if _, alive := m.members[name]; alive && m.mayLook(name, now) {
		h := &hold{name: name, guest: true, reported: now, wait: firstWait, claims: make(map[string]claim)}
		m.holds[name] = h
		m.examine(h, now)
	}
}

func (m *Machine) claimed(e Claimed, now time.Time) {
	h := m.holds[e.About]
	if h != nil && e.Finding == Doubt {
		m.requested(h, now)
		return
	}
	if h == nil || e.Finding != Gone && e.Finding != Silent || e.From == m.opts.Self || m.memory.distrusts(e.About, now) ||
		!slices.Contains(m.circle.before(e.About, claimSpread*m.opts.Held), e.From) {
		return
	}
	if _, known := h.claims[e.From]; !known && len(h.claims) >= maxClaims {
		return
	}
	h.claims[e.From] = claim{e.Finding, now}
	if h.finding == 0 || now.Sub(h.found) > claimLife {
		m.requested(h, now)
	}
	m.agree(h, now)
}

// repeatClaims tells a start the findings of this member, when a stream to it has just opened.
func (m *Machine) repeatClaims(to string, now time.Time) {
	for _, about := range m.order() {
		h := m.holds[about]
		if h.finding != 0 && now.Sub(h.found) <= claimLife && slices.Contains(m.holdersOf(about), to) {
			m.do(Claim{to, about, h.finding})
		}
	}
}

// tellHolders tells the finding of this member to those holders that were not told yet.
func (m *Machine) tellHolders(h *hold) {
	for _, to := range m.holdersOf(h.name) {
		if !h.told[to] {
			h.told[to] = true
			m.do(Claim{to, h.name, h.finding})
		}
	}
}

// holdersOf returns the other starts that hold a tether to one.
func (m *Machine) holdersOf(name string) []string {
	holders := m.nearest(m.circle.before(name, maxWidening*m.opts.Held), false)
	return slices.DeleteFunc(holders, func(holder string) bool { return holder == m.opts.Self })
}

// agree declares a start dead when enough holders, with this member among them, agree. A member that
// believes the start dead already counts as enough of them.
func (m *Machine) agree(h *hold, now time.Time) {
	if h.finding == 0 || now.Sub(h.found) > claimLife || !h.dead.IsZero() && now.Sub(h.dead) < renewPause {
		return
	}
	gone, all := 0, 1
	if h.finding == Gone {
		gone++
	}
	for _, c := range h.claims {
		if now.Sub(c.at) > claimLife {
			continue
		}
		if all++; c.finding == Gone {
			gone++
		}
	}
	others := len(m.members) // with that start, without this one
	switch {
	case !h.reported.IsZero() && now.Sub(h.reported) <= reportLife:
		m.declare(h, h.finding, now)
	case h.finding == Gone && gone >= min(m.opts.Gone, others):
		m.declare(h, Gone, now)
	case all >= min(m.opts.Silent, others):
		m.declare(h, Silent, now)
	}
}

func (m *Machine) declare(h *hold, f Finding, now time.Time) {
	h.dead = now
	m.counts.Declared++
	m.memory.fail(h.name, true, now)
	m.do(Declare{h.name, f})
}
