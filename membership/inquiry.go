package membership

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A member that may have been declared dead asks some others about that, and steps back when most of them say
// so. See deaths.go for the reason.

const (
	deathVotes = 0.75 // the part of the asked members that must confirm a death
	deathTries = 3    // times that they are asked: news of the death may still travel

	missedAfter = 3 // halves of a probe interval without a sign of a member after which others miss it
	sameDeath   = 5 // probe intervals after a return within which questions are about the same death

	forgedDeaths = 3 // deaths that nobody confirms, within flapWindow, are a trouble
)

// inquire asks others whether they declared this member dead, and steps back if they did.
func (m *Membership) inquire(ctx context.Context) {
	m.deaths.mu.Lock()
	accused := m.deaths.accused
	m.deaths.accused = false
	known := !m.deaths.latest.IsZero() && m.settings.now().Sub(m.deaths.latest) < sameDeath*m.settings.timings.probeInterval
	m.deaths.mu.Unlock()
	if known {
		return
	}
	for try := range deathTries {
		yes, asked := m.askOfDeath(ctx)
		if confirms(yes, asked) {
			m.stepBack(yes, asked)
		}
		if accused && yes == 0 && asked > 0 && ctx.Err() == nil {
			m.doubtDeath()
		}
		if ctx.Err() != nil || yes == 0 || confirms(yes, asked) {
			return
		}
		if try < deathTries-1 {
			pause := time.NewTimer(m.settings.timings.patience)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
		}
	}
}

// doubtDeath records a death that no other member confirms. Several of them are a trouble in clear.
func (m *Membership) doubtDeath() {
	now := m.settings.now()
	d := &m.deaths
	d.mu.Lock()
	if now.Sub(d.forgedAt) >= flapWindow {
		d.forged = 0
	}
	d.forged++
	d.forgedAt = now
	count := d.forged
	d.mu.Unlock()
	if count >= forgedDeaths && !m.newcomers.encrypted {
		m.troubles.set(troubleForged, m.settings.NodeID, "", "gossip says again and again that this member has failed, and no other member has missed it", flapWindow)
	}
}

// stepBack begins the wait after a death, and doubles it when the last death was not long ago.
func (m *Membership) stepBack(yes, asked int) {
	now := m.settings.now()
	d := &m.deaths
	d.mu.Lock()
	if d.wait = min(2*d.wait, maxRest); d.latest.IsZero() || now.Sub(d.latest) >= deathMemory {
		d.wait = m.settings.timings.firstRest
	}
	d.latest, d.rested = now, 0
	d.err = fmt.Errorf("%d of %d other members had declared this one dead: it owns nothing until it has been in touch with others for %v without a pause",
		yes, asked, d.wait)
	err := d.err
	d.mu.Unlock()
	m.troubles.set(troubleDead, "", "", err.Error(), 0)
	m.registry.events.poke()
}

// askOfDeath asks some of the other members whether they declared this one dead. It returns how
// many say so, and how many were asked.
func (m *Membership) askOfDeath(ctx context.Context) (yes, asked int) {
	others := append(m.registry.others(), m.registry.lostLately()...) // this member may be wrong about those
	targets := make([]netip.AddrPort, 0, deathAsked)
	for _, other := range pick(others, deathAsked) {
		targets = append(targets, other.Addr)
	}
	kind := byte(kindDeath)
	if m.deaths.stoodStill(m.settings.now(), longPause*m.settings.timings.probeInterval) {
		kind = kindDeathStopped
	}
	round := m.reach.begin()
	defer m.reach.end(round)
	m.ask(round, kind, targets)
	m.await(ctx, round, m.settings.timings.patience, func(_, streams int) bool { return confirms(streams, len(targets)) })
	_, yes = m.reach.counts(round)
	return yes, len(targets)
}

// confirms reports whether enough members confirm a death.
func confirms(yes, asked int) bool { return yes > 0 && float64(yes) >= deathVotes*float64(asked) }

// answerDeath answers a member that asks whether this one declared it dead, if this one did. It
// does not answer when it has not missed the other one, as with forged news: there were signs of it
// until missedAfter ago, or until it came back. It does not answer either when the cause may be on the
// side of this member, and not of the other one:
//
//   - This process stood still as well.
//   - This member declared half of all members dead at that time, and the other one does not know
//     that its own process stood still.
func (m *Membership) answerDeath(msg reachMessage) {
	interval := m.settings.timings.probeInterval
	peer, silent, group, all := m.registry.deathOf(msg.name, sameDeath*interval)
	switch {
	case group == 0, silent < missedAfter*interval/2, m.deaths.stoodStill(m.settings.now(), longPause*interval):
	case msg.kind == kindDeath && 2*group >= all:
	default:
		gossip, _, running := m.live()
		if !running {
			return
		}
		answer := reachMessage{kind: kindReachStream, challenge: msg.challenge, name: msg.name, from: m.settings.NodeID}.bytes()
		m.background(func() { m.answerStream(gossip, msg.name, peer.Addr, answer) })
	}
}
