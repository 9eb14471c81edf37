package membership

import (
	"math"
	"time"

	"github.com/clusterkit/clusterkit/membership/lifecycle"
)

// Others that have not heard of a member for longer than a suspicion takes have declared it dead. memberlist
// refutes that as soon as one of them is heard. A member that stands still again a moment later would be dead and
// alive in turn, in all lists. And others that hear the refutation before this member has stepped back would let it
// own for that time. So after a long silence this member refutes its death when it has been in touch for a probe
// interval. By then it has asked others about its death. They hear at once that it observes.

// deathNews is how many probe intervals pass, besides the suspicion, until a member that stands still is
// suspected, and until all know of its death.
const deathNews = 3

// silence says whether others may have declared this member dead because they have not heard of it.
type silence struct {
	heard     time.Time // when another member was last heard, or accepted a stream
	since     time.Time // when a long silence began; zero when it has been in touch for a probe interval since
	back      time.Time // when another member was first heard after it
	suspected time.Time // when this member last heard that it is suspected or dead

	returned lifecycle.Broadcast // this member may refute its death again
}

// heardSuspicion records that this member is about to hear that others suspect it or declare it dead.
func (m *Membership) heardSuspicion() {
	m.deaths.mu.Lock()
	m.deaths.silence.suspected = m.settings.now()
	m.deaths.mu.Unlock()
}

// touched records that another member was heard or accepted a stream, and lets this one refute its death when it may.
// It never blocks for long.
func (m *Membership) touched() {
	s, now := &m.deaths.silence, m.settings.now()
	m.deaths.mu.Lock()
	if m.isGivenUp(now) {
		if s.back = now; s.since.IsZero() {
			s.since = s.heard
		}
	}
	s.heard = now
	over := !s.since.IsZero() && now.Sub(s.back) >= m.settings.timings.probeInterval
	if over {
		s.since = time.Time{}
	}
	m.deaths.mu.Unlock()
	if !over {
		return
	}
	m.deaths.silence.returned.Signal()
	m.background(func() {
		m.announcer.wait(m.life.Ending(), time.Nanosecond)
		m.spread()
	})
}

// withheld returns a channel that is closed when this member may refute its death, or nil when it may now. It may
// also while it has not heard of a suspicion. The one in an exchange of members that another member begins is
// known before the exchange is answered.
func (m *Membership) withheld() <-chan struct{} {
	wait := m.deaths.silence.returned.Wait()
	s, now := &m.deaths.silence, m.settings.now()
	m.deaths.mu.Lock()
	defer m.deaths.mu.Unlock()
	since := s.since
	if since.IsZero() {
		since = s.heard
		if !m.isGivenUp(now) {
			return nil
		}
	}
	if !s.suspected.After(since) {
		return nil
	}
	return wait
}

// isGivenUp reports whether this member has heard nobody for longer than the shortest suspicion of others takes.
// It has not when there are no others, and were none lately. The caller holds the lock of deaths.
func (m *Membership) isGivenUp(now time.Time) bool {
	t, heard := m.settings.timings, m.deaths.silence.heard
	if heard.IsZero() {
		return false
	}
	others, since := m.registry.companySince()
	if others == 0 {
		others = len(m.registry.lostLately()) // this member may have declared these members failed by mistake
	}
	if others == 0 {
		return false
	}
	if since.After(heard) {
		heard = since
	}
	shortest := float64(t.suspicion.shortest) * max(1, math.Log10(float64(others+1)))
	return now.Sub(heard) > time.Duration((shortest+deathNews)*float64(t.probeInterval))
}
