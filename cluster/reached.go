package cluster

import (
	"context"
	"time"

	"github.com/clusterkit/clusterkit/membership"
)

const (
	firstRetreat  = 30 * time.Second // how long a member must be reached again before it owns again
	maxRetreat    = 10 * time.Minute // the longest such time: it doubles with each retreat
	retreatMemory = 30 * time.Minute // after this time without a retreat, the time is short again
)

// retreat says whether this member has stepped back, and when it may own again. A network that loses
// most packets lets others reach a member now and then. If the member owned again each time, all
// rings would change each time. It may own again at once only where it stepped back because of its
// death: membership has waited then.
type retreat struct {
	out     bool
	since   time.Time     // when it stepped back last
	latest  time.Time     // the last time at which that was because no other member reached it
	wait    time.Duration // how long it must be reached after that
	reached time.Time     // since when it has been reached without a doubt; zero while it is not
}

// unreached records that no other member reaches this one, which has stepped back. Each retreat
// doubles the wait once.
func (r *retreat) unreached(now time.Time) {
	r.reached = time.Time{}
	if !r.latest.IsZero() && !r.latest.Before(r.since) {
		return
	}
	if r.wait = min(2*r.wait, maxRetreat); r.latest.IsZero() || now.Sub(r.latest) >= retreatMemory {
		r.wait = firstRetreat
	}
	r.latest = now
}

// over reports, while other members reach this one, whether that has lasted for long enough. doubted is
// when another member last suspected this one: then it was not reached.
func (r *retreat) over(now, doubted time.Time) bool {
	if r.reached.IsZero() {
		r.reached = now
	}
	if doubted.After(r.reached) {
		r.reached = doubted
	}
	return r.latest.Before(r.since) || now.Sub(r.reached) >= r.wait
}

// followReach takes this member out of ownership while no other member reaches it at the address that it
// announces, and for some time after other members declared it dead. Otherwise the other members would find
// this member dead and alive in turn, and change their rings each time. This member announces that it is an
// observer, so that all rings change once. It joins again when the reason has been over for a while. Where no
// other member owns, this member stays an owner: a ring is never empty.
func (c *Cluster) followReach(ctx context.Context) {
	m, r, now := membership.Drive(c.members), &c.retreat, time.Now()
	beside := c.ownedBeside()
	if r.out && !beside && len(c.view.Load().Members) > 1 && m.DeclaredDead() != nil {
		m.OwnAgain()
	}
	unreached, dead := m.Unreached() != nil, m.DeclaredDead() != nil
	switch {
	case (unreached || dead) && !r.out && beside:
		r.out, r.since = m.Retreat(ctx), now
	case !unreached && !dead && r.out && (!beside || r.over(now, m.LastRefuted())):
		m.Advance(ctx)
		r.out = false
	}
	if unreached && r.out {
		r.unreached(now)
	}
}

// ownedBeside reports whether another member owns.
func (c *Cluster) ownedBeside() bool {
	for _, m := range c.view.Load().Members {
		if m.ID != c.settings.NodeID && m.State == membership.Active {
			return true
		}
	}
	return false
}
