package membership

import (
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/membership/internal/tether"
)

// A suspicion is no event, because most members refute it. But when several members fail at once,
// gossip finds them dead one after another, within some seconds. When one of them is dead, a ring can
// wait for the others.

// suspicionMemory is how long a member that outlived a suspicion is not counted as suspected again.
// Otherwise a member that is slow all the time, or that loses packets, would delay others.
const suspicionMemory = 2 * time.Minute

// suspicionProbes is the number of probe intervals within which a suspicion leads to a death, unless
// it is refuted.
const suspicionProbes = 15

// suspicions holds the suspicions that this member has or has heard of, by gossip name. It has entries
// only for members believed alive.
type suspicions struct {
	lasts time.Duration // after this time without a death, a suspicion has been refuted
	now   func() time.Time

	mu    sync.Mutex
	open  map[string]suspicion
	known map[string]uint64 // the largest incarnations that members are said to have announced
}

// refutationProbes is the number of probe intervals within which a suspicion reaches the suspected member, and its refutation
// all others. No suspicion of gossip leads to a death so soon.
const refutationProbes = 2

// suspicion is the suspicion of one member.
type suspicion struct {
	since       time.Time
	incarnation uint64    // the suspected incarnation; 0 when not known
	announced   bool      // the member has announced itself since, in a way that may refute the suspicion
	raised      bool      // this member has reason for it
	refuted     time.Time // zero while it is open
	again       time.Time // when it was suspected again after it had ended, and has not announced itself since
	next        uint64    // the incarnation that is suspected again; 0 when not known
	outlived    time.Time // when the member refuted the suspicion before this one; zero when it did not
}

func newSuspicions(lasts time.Duration, now func() time.Time) suspicions {
	return suspicions{lasts: lasts, now: now, open: make(map[string]suspicion), known: make(map[string]uint64)}
}

// suspect records a suspicion of a member. The incarnation is 0 when it is not known. The member does not
// refute the suspicion of an incarnation before its present one, and memberlist ignores it.
func (d *suspicions) suspect(name string, incarnation uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	was, known := d.open[name]
	switch {
	case incarnation != 0 && incarnation < d.known[name]:
	case known && d.isOpen(was, now):
		was.incarnation = max(was.incarnation, incarnation)
		d.open[name] = was
	case known && now.Sub(d.ended(was)) < suspicionMemory:
		// It outlived a suspicion not long ago, so that it is not counted.
		if was.again.IsZero() || now.Sub(was.again) >= d.lasts {
			was.again, was.next = now, 0
		}
		was.next = max(was.next, incarnation)
		d.open[name] = was
	default:
		d.open[name] = suspicion{since: now, incarnation: incarnation}
	}
}

// raise records a suspicion that this member itself has reason for. It reports whether the suspicion is
// a new one. It makes no difference whether the member outlived another one not long ago.
func (d *suspicions) raise(name string, incarnation uint64) (begins bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	was, known := d.open[name]
	if begins = !known || was.announced || !d.isOpen(was, now); begins {
		outlived := was.outlived
		if !was.refuted.IsZero() {
			outlived = was.refuted
		}
		was = suspicion{since: now, incarnation: incarnation, outlived: outlived}
	}
	was.raised = true
	d.open[name] = was
	return begins
}

// alive records that a member has announced an incarnation. One above that which is suspected
// refutes the suspicion. alive reports whether this member was wrong to have it.
func (d *suspicions) alive(name string, incarnation uint64) (wrong bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[name] = max(d.known[name], incarnation)
	was, known := d.open[name]
	if !known {
		return false
	}
	if was.again = (time.Time{}); !was.refuted.IsZero() {
		d.open[name] = was
		return false
	}
	if was.incarnation != 0 && incarnation > was.incarnation {
		was.refuted = d.now()
	}
	was.announced = was.announced || was.incarnation == 0 || incarnation > was.incarnation
	d.open[name] = was
	return was.raised && !was.refuted.IsZero()
}

// age returns for how long a member has been suspected without a sign of it. It is zero for one that
// is not suspected, or has announced itself since.
func (d *suspicions) age(name string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if was := d.open[name]; d.stands(was, now) {
		return now.Sub(was.since)
	}
	return 0
}

// refutedBefore reports whether a member refuted a suspicion not long ago, before the present one.
func (d *suspicions) refutedBefore(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now().Sub(d.open[name].outlived) < suspicionMemory
}

// silent returns since when a member has been suspected without a sign of it. It is the zero time for
// one that is not suspected. Unlike age, it knows of suspicions that are not counted.
func (d *suspicions) silent(name string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	was, now := d.open[name], d.now()
	switch {
	case d.stands(was, now):
		return was.since
	case now.Sub(was.again) < d.lasts:
		return was.again
	}
	return time.Time{}
}

// gone forgets a member that is no longer believed alive.
func (d *suspicions) gone(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, name)
	delete(d.known, name)
}

// listed records the incarnation of a member in a list of another member, who may have learned of it
// long ago. One above that which is suspected refutes the suspicion. listed reports whether this member was
// wrong to have it.
func (d *suspicions) listed(name string, incarnation uint64) (wrong bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[name] = max(d.known[name], incarnation)
	was, known := d.open[name]
	if !known {
		return false
	}
	if was.next != 0 && incarnation > was.next {
		was.again = time.Time{}
	}
	if was.refuted.IsZero() && was.incarnation != 0 && incarnation > was.incarnation {
		was.refuted, was.announced, wrong = d.now(), true, was.raised
	}
	d.open[name] = was
	return wrong
}

// count returns how many members are suspected now.
func (d *suspicions) count() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for name, was := range d.open {
		switch {
		case d.isOpen(was, now):
			n++
		case now.Sub(d.ended(was)) >= suspicionMemory:
			delete(d.open, name)
		}
	}
	return n
}

// stands reports whether a suspicion is open, and no sign of the member has followed it. The zero
// suspicion is none.
func (d *suspicions) stands(was suspicion, now time.Time) bool {
	return !was.since.IsZero() && !was.announced && d.isOpen(was, now)
}

func (d *suspicions) isOpen(was suspicion, now time.Time) bool {
	return was.refuted.IsZero() && now.Sub(was.since) < d.lasts
}

// ended returns when a suspicion that is not open was refuted.
func (d *suspicions) ended(was suspicion) time.Time {
	if was.refuted.IsZero() {
		return was.since.Add(d.lasts)
	}
	return was.refuted
}

// heard records what a message of gossip says about a member.
func (m *Membership) heard(name string, suspected bool, incarnation uint64) {
	_, alive := m.registry.named(name)
	switch {
	case name == m.name && suspected:
		m.heardSuspicion()
	case name == m.name || !alive:
	case suspected:
		m.suspicions.suspect(name, incarnation)
	case m.suspicions.alive(name, incarnation):
		m.tethers.push(tether.Refuted{Name: name})
	}
}

// expects reports whether a message may declare a start dead: this member has heard that the start is suspected,
// for long enough that the start could refute it. Holders of tethers, which examine a start before they declare it
// dead, do not suspect it. Their messages have an incarnation that no other ones have.
func (m *Membership) expects(name string, incarnation uint64) bool {
	since := m.suspicions.silent(name)
	return incarnation >= leastIncarnation || !since.IsZero() && m.settings.now().Sub(since) >= refutationProbes*m.settings.timings.probeInterval
}

// listed records what an exchange of members says about one that is alive.
func (m *Membership) listed(name string, incarnation uint64) {
	if _, alive := m.registry.named(name); alive && name != m.name && m.suspicions.listed(name, incarnation) {
		m.tethers.push(tether.Refuted{Name: name})
	}
}

// suspects records that a probe of a member by this one has failed.
func (m *Membership) suspects(name string) { m.heard(name, true, 0) }
