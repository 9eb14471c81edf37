package membership

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The other members declare a member dead when its process or its network stands still for some
// seconds. It refutes that as soon as it runs again, and owns again at once. A member that stands still
// again and again would change the rings of all others each time. So a member that was declared dead
// asks others whether they declared it dead, and then steps back. It owns nothing until it has been in
// touch with others for some time without being suspected. The time doubles with each death.
//
// The answers decide, because the member itself cannot know whether it stood still, or all others
// did. A member answers only if it kept more than half of all members at the time. So never do all
// members step back, whatever the network does.

const (
	deathAsked  = 16               // members that are asked about a death
	deathMemory = 30 * time.Minute // after this time without a death the first wait is short again
	// deathGroup is the time within which deaths have one cause. News of a death travels for some
	// seconds.
	deathGroup = 30 * time.Second

	maxRest   = 10 * time.Minute // the longest time in touch that a member needs
	longPause = 3                // probe intervals without contact that are a pause
)

// deaths holds what this member knows of having been declared dead.
type deaths struct {
	refuted chan struct{} // this member refutes that it is dead or suspected, or hears others again

	// repeating and telling are true while the repetitions of a refutation wait.
	repeating, telling atomic.Bool

	mu        sync.Mutex
	refutedAt time.Time // when this member last refuted that it is dead or suspected
	contact   time.Time // when another member was last heard
	resumed   time.Time // when another member was first heard after a pause
	company   time.Time // when another member was last believed alive
	silence   silence
	ticked    time.Time     // when watchRest last ran
	stopped   time.Time     // when watchRest ran for the first time after the process had stood still
	latest    time.Time     // the last confirmed death
	wait      time.Duration // how long this member must be in touch after it
	rested    time.Duration // how long it has been in touch since then, without a pause or a suspicion
	err       error         // why this member must not own
	declared  bool          // this member refutes that it is dead, and has not asked about that yet
	forged    int           // deaths that nobody confirmed, each within flapWindow after the one before
	forgedAt  time.Time     // the last of them
}

// lastRefuted returns when this member last refuted that it is dead or suspected.
func (d *deaths) lastRefuted() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refutedAt
}

// heardFrom records that another member was heard. After a pause this member may have been declared
// dead. heardFrom never blocks for long.
func (m *Membership) heardFrom() {
	d, now := &m.deaths, m.settings.now()
	d.mu.Lock()
	paused := !d.contact.IsZero() && now.Sub(d.contact) > longPause*m.settings.timings.probeInterval
	if d.contact = now; paused {
		d.resumed = now
	}
	d.mu.Unlock()
	if paused {
		d.wake()
	}
	m.touched()
}

// deaf reports whether this member heard no other one lately: there is a pause now, or there was one not
// long ago. What it then finds about others may be wrong.
func (m *Membership) deaf() bool {
	d, now, pause := &m.deaths, m.settings.now(), longPause*m.settings.timings.probeInterval
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.contact.IsZero() && now.Sub(d.contact) > pause || !d.resumed.IsZero() && now.Sub(d.resumed) < pause
}

// stoodStill reports whether this process did not run for a while, within the last deathGroup.
func (d *deaths) stoodStill(now time.Time, pause time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.ticked.IsZero() && now.Sub(d.ticked) > pause || !d.stopped.IsZero() && now.Sub(d.stopped) < deathGroup
}

// state returns an error that says why this member must not own.
func (d *deaths) state() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// watchDeaths asks whether this member was declared dead, each time that this is likely, until the
// context ends.
func (m *Membership) watchDeaths(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.deaths.refuted:
			m.inquire(ctx)
		}
	}
}

// watchRest counts the time in touch with others until the context ends.
func (m *Membership) watchRest(ctx context.Context) {
	tick := time.NewTicker(m.settings.timings.probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.rest()
		}
	}
}

// rest counts the time in touch with others, and lets this member own again when that is enough.
func (m *Membership) rest() {
	interval, now := m.settings.timings.probeInterval, m.settings.now()
	d := &m.deaths
	others := m.registry.others()
	d.mu.Lock()
	if len(others) > 0 || d.company.IsZero() {
		d.company = now
	}
	still := !d.ticked.IsZero() && now.Sub(d.ticked) > longPause*interval
	if still {
		d.stopped = now
	}
	d.ticked = now
	// Others suspect again a member that they reach only now and then. In clear anybody can forge that, so it
	// counts for a bounded time.
	doubted := now.Sub(d.refutedAt) < interval && now.Sub(d.latest) < maxRest
	if d.rested += interval; still || doubted || now.Sub(d.contact) > longPause*interval {
		d.rested = 0
	}
	over := d.err != nil && (d.rested >= d.wait || now.Sub(d.company) >= deathGroup)
	d.mu.Unlock()
	if over {
		m.ownAgain()
	}
}

// ownAgain lets this member own again.
func (m *Membership) ownAgain() {
	m.deaths.mu.Lock()
	m.deaths.err = nil
	m.deaths.mu.Unlock()
	m.troubles.clear(troubleDead, "")
	m.registry.events.poke()
}

// spread pings some members at once. memberlist adds the news of this member to these packets, so
// that the refutation of its death and its new state arrive together.
func (m *Membership) spread() {
	for _, other := range pick(m.registry.others(), deathAsked) {
		m.background(func() {
			if gossip, _, running := m.live(); running {
				_, _ = gossip.Ping(gossipName(other.ID, other.Start.Nonce), net.UDPAddrFromAddrPort(other.Addr))
			}
		})
	}
}

// lostLately returns the members that were declared dead within the last two deathGroups.
func (r *registry) lostLately() (lost []Member) {
	for _, d := range r.lostMembers() {
		if r.now().Sub(d.at) < 2*deathGroup {
			lost = append(lost, d.member)
		}
	}
	return lost
}

// lostNamed returns the start with a gossip name, if it was declared dead within the last two
// deathGroups.
func (r *registry) lostNamed(name string) (Member, bool) {
	for _, m := range r.lostLately() {
		if gossipName(m.ID, m.Start.Nonce) == name {
			return m, true
		}
	}
	return Member{}, false
}

// deathOf returns these values about the member with a gossip name:
//
//   - the member;
//   - for how long there was no sign of it, until now or until it came back;
//   - how many members were declared dead at about the time when it was. The number includes the
//     member. It is 0 when the member was not declared dead, keeps its place, or has been back for
//     longer than lately;
//   - how many members there were at that time.
func (r *registry) deathOf(name string, lately time.Duration) (member Member, silent time.Duration, group, all int) {
	id, nonce, err := splitName(name)
	if err != nil {
		return Member{}, 0, 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.kept(id, nonce) {
		return Member{}, 0, 0, 0
	}
	d, gone := r.departed[id]
	back := r.flaps[id]
	died := d.at
	member, silent = d.member, now.Sub(d.silentSince())
	if !gone || !d.failed || d.member.Start.Nonce != nonce {
		if back.latest.IsZero() || now.Sub(back.latest) >= lately {
			return Member{}, 0, 0, 0
		}
		died = back.died
		member, silent = r.alive[name], back.latest.Sub(back.silent)
	}
	together := func(at time.Time) bool { return at.Sub(died).Abs() < deathGroup }
	all = len(r.names)
	for other, d := range r.departed {
		if d.failed && together(d.at) {
			group++
			if _, alive := r.names[other]; !alive {
				all++
			}
		}
	}
	for other, f := range r.flaps {
		if _, alive := r.names[other]; alive && together(f.died) {
			group++
		}
	}
	return member, silent, group, all
}
