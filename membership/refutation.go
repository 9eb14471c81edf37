package membership

import (
	"sync/atomic"
	"time"
)

const (
	// refutationPause is the gossip intervals after which a refutation is repeated.
	refutationPause = 2
	repeatPause     = 1200 * time.Millisecond // before others are told of a refutation in an exchange
	repeatFew       = 2                       // members to which it is told
)

// wake makes watchDeaths ask others about a death of this member. It never blocks.
func (d *deaths) wake() {
	select {
	case d.refuted <- struct{}{}:
	default:
	}
}

// refutes records that this member refutes that it is dead or, when dead is false, that it is
// suspected. It never blocks. A refutation is made more than once:
//
//   - memberlist sends the refutation a number of times, with whatever it sends. Members that have stood
//     still probe many members as soon as they run, so the answers to their probes may use up that
//     number. When they stand still again, nobody has heard the refutation. The refutation is repeated soon.
//   - In clear, the news that is refuted may have had the largest incarnation that guards admit. They drop
//     the refutation for up to a second. So this member exchanges members with a few others after that.
func (m *Membership) refutes(dead bool) {
	m.deaths.mu.Lock()
	m.deaths.refutedAt = m.settings.now()
	m.deaths.declared = m.deaths.declared || dead
	m.deaths.mu.Unlock()
	m.deaths.wake()
	m.once(&m.deaths.repeating, refutationPause*m.settings.timings.gossipInterval, func() {
		m.announcer.wait(m.life.Ending(), time.Nanosecond) // does not wait until it was sent
	})
	m.repeatNews()
}

// repeatNews exchanges members with a few others soon, unless gossip is encrypted.
func (m *Membership) repeatNews() {
	if m.newcomers.encrypted {
		return
	}
	m.once(&m.deaths.telling, repeatPause, func() {
		for _, other := range pick(m.registry.others(), repeatFew) {
			m.contact(other.Addr, func(error) {})
		}
	})
}

// once calls a function after a pause, unless such a call is under way or this member stops.
func (m *Membership) once(underway *atomic.Bool, after time.Duration, call func()) {
	if underway.Swap(true) {
		return
	}
	begun := m.background(func() {
		pause := time.NewTimer(after)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-m.life.Ending().Done():
		}
		underway.Store(false)
		if m.life.Ending().Err() == nil {
			call()
		}
	})
	if !begun {
		underway.Store(false)
	}
}
