package membership

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// A member that may have been declared dead asks some others about that, and steps back when most of them say
// so. See deaths.go for the reason.

const (
	deathTries = 3 // times that members are asked: news of the death may still travel

	missedAfter = 3 // halves of a probe interval without a sign of a member after which others miss it
	sameDeath   = 5 // probe intervals after a return within which questions are about the same death

	forgedDeaths = 3 // deaths that nobody confirms, within flapWindow, are a trouble
)

// inquire asks others whether they declared this member dead, and steps back if they did.
func (m *Membership) inquire(ctx context.Context) {
	m.deaths.mu.Lock()
	declared := m.deaths.declared
	m.deaths.declared = false
	known := !m.deaths.latest.IsZero() && m.settings.now().Sub(m.deaths.latest) < sameDeath*m.settings.timings.probeInterval
	m.deaths.mu.Unlock()
	if known {
		return
	}
	for range deathTries {
		yes, asked := m.askOfDeath(ctx, declared)
		switch {
		case ctx.Err() != nil:
			return
		case confirms(yes, asked):
			m.stepBack(yes, asked)
			return
		case yes == 0:
			if declared && asked > 0 {
				m.doubtDeath()
			}
			return
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
	d.err = fmt.Errorf("%d of %d other members had declared this one dead: it owns nothing until it has been in touch with others for %v without a pause or a suspicion",
		yes, asked, d.wait)
	err := d.err
	d.mu.Unlock()
	m.troubles.set(troubleDead, "", "", err.Error(), 0)
	m.registry.events.poke()
}

// askOfDeath asks some of the other members whether they declared this one dead. It returns how
// many say so, and how many were asked. It waits for the patience with one connection, and for twice
// that time when a member says so.
//
// What this member sends may be lost: that may be the reason for its death. A stream that loses most of its
// segments takes seconds. So the question is in packets as well. It is repeated while this member has heard
// that it is dead, or after a member has said so.
func (m *Membership) askOfDeath(ctx context.Context, declared bool) (yes, asked int) {
	others := append(m.registry.others(), m.registry.lostLately()...) // this member may be wrong about those
	targets := pick(others, deathAsked)
	kind := byte(kindDeath)
	if m.deaths.stoodStill(m.settings.now(), longPause*m.settings.timings.probeInterval) {
		kind = kindDeathStopped
	}
	round := m.reach.begin()
	defer m.reach.end(round)
	addrs := make([]netip.AddrPort, 0, len(targets))
	for _, other := range targets {
		addrs = append(addrs, other.Addr)
	}
	m.ask(round, kind, addrs)
	patience := m.settings.timings.patience
	repeat := time.NewTicker(m.settings.timings.gossipInterval)
	defer repeat.Stop()
	first, second := time.NewTimer(patience), time.NewTimer(2*patience)
	defer first.Stop()
	defer second.Stop()
	m.askInPackets(round, kind, targets)
	for {
		if yes = m.reach.voices(round); confirms(yes, len(targets)) {
			return yes, len(targets)
		}
		select {
		case <-round.news:
			continue
		case <-repeat.C:
			if declared || yes > 0 {
				m.askInPackets(round, kind, targets)
			}
			continue
		case <-first.C:
			if yes > 0 {
				continue
			}
		case <-second.C:
		case <-ctx.Done():
		}
		return yes, len(targets)
	}
}

// askInPackets sends a question in packets to those members that have not answered.
func (m *Membership) askInPackets(round *reachRound, kind byte, targets []Member) {
	gossip, _, running := m.live()
	if !running {
		return
	}
	question := reachMessage{kind: kind, challenge: round.challenge, name: m.name}.bytes()
	for _, other := range targets {
		if !m.reach.answeredBy(round, other.ID) {
			address := memberlist.Address{Addr: other.Addr.String(), Name: gossipName(other.ID, other.Start.Nonce)}
			_ = gossip.SendToAddress(address, question)
		}
	}
}

// confirms reports whether enough members confirm a death: two thirds of those that were asked.
func confirms(yes, asked int) bool { return yes > 0 && 3*yes >= 2*asked }

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
		m.answerAsker(gossip, msg, peer.Addr)
	}
}
