package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// pace is how the loop gathers changes: it waits until none has come for the
// quiet time, but no longer than the longest time after the first.
type pace struct{ quiet, longest time.Duration }

func paceOf(p membership.Profile) pace {
	switch p {
	case membership.WAN:
		return pace{250 * time.Millisecond, time.Second}
	case membership.Local:
		return pace{50 * time.Millisecond, 250 * time.Millisecond}
	default:
		return pace{100 * time.Millisecond, 500 * time.Millisecond}
	}
}

// published is the view that lookups answer from. It is immutable.
type published struct {
	view.View
	version uint64 // counts the views of this process
	basis   uint64 // the version of the member list that View was derived from
}

// healthInterval is how often health is looked at when nothing happens: some of
// it depends on how long a thing has lasted.
const healthInterval = time.Second

// run is the one goroutine that changes what the cluster believes. It turns
// news from gossip into events at once, and into views at its pace.
func (c *Cluster) run(ctx context.Context) {
	pace := paceOf(c.settings.Gossip)
	var quiet, longest *time.Timer
	expired := func(t *time.Timer) <-chan time.Time {
		if t == nil {
			return nil
		}
		return t.C
	}
	publish := func() {
		for _, t := range []*time.Timer{quiet, longest} {
			if t != nil {
				t.Stop()
			}
		}
		quiet, longest = nil, nil
		if !c.publish(ctx) {
			quiet, longest = time.NewTimer(pace.quiet), time.NewTimer(pace.longest)
		}
		c.checkHealth()
	}
	health := time.NewTicker(healthInterval)
	defer health.Stop()
	for {
		select {
		case <-ctx.Done():
			c.forward()
			return
		case <-membership.Drive(c.members).Wake():
			switch {
			case !c.forward():
			case quiet == nil:
				quiet, longest = time.NewTimer(pace.quiet), time.NewTimer(pace.longest)
			default:
				quiet.Reset(pace.quiet)
			}
			c.checkHealth()
			c.changed.Signal()
		case done := <-c.refresh:
			publish()
			close(done)
		case <-expired(quiet):
			publish()
		case <-expired(longest):
			publish()
		case <-c.recheck:
			c.checkHealth()
		case <-c.advance:
			publish()
		case <-health.C:
			if c.handoff != nil {
				c.handoff.isolate(membership.Drive(c.members).Isolated())
			}
			if c.view.Load().Failure != nil {
				publish() // the strategy may have recovered
			} else if c.waitsForMembers() {
				publish() // it may have waited long enough
			} else {
				c.checkHealth()
			}
		}
	}
}

// forward hands membership's events to subscribers. It reports whether there
// were any.
func (c *Cluster) forward() bool {
	events := membership.Drive(c.members).TakeEvents()
	for _, e := range events {
		c.events.add(Event{Kind: memberKind(e.Kind.String()), At: e.At, Member: &MemberChange{ID: e.ID, Before: e.Before, After: e.After, Away: e.Away}})
	}
	return len(events) > 0
}

// publish derives the view of the members as they are and makes it the one that
// lookups see. When that lets this member begin to own, it does, and the view
// that follows is published too. It reports whether the view is that of all the
// events it has forwarded.
func (c *Cluster) publish(ctx context.Context) (current bool) {
	for {
		previous := c.view.Load()
		members, basis := c.members.Members()
		// Subscribers hear of the members before they hear of the ring that
		// follows from them. What came since is forwarded too.
		c.forward()
		begun, asked := time.Now(), c.builder.Asked()
		next := &published{View: *c.builder.Derive(members, &previous.View), version: previous.version + 1, basis: basis}
		if c.builder.Asked() > asked {
			c.counts.rebuilt(time.Since(begun), next.Failure != nil)
		}
		if next.Failure != nil && (previous.Failure == nil || previous.Failure.Error() != next.Failure.Error()) {
			c.settings.Logger.Error("keeping the previous ring", "error", next.Failure)
		}
		if next.Fingerprint == previous.Fingerprint && next.Configuration == previous.Configuration {
			next.version = previous.version
		}
		runs := next.Configuration
		if _, capable := c.settings.configs[runs]; !capable {
			runs = "" // the others should hear that this is why our view differs
		}
		c.view.Store(next)
		membership.Drive(c.members).Publish(uint64(next.Fingerprint), runs, members, next.Participants())
		if next.Ring.Fingerprint() != previous.Ring.Fingerprint() {
			c.events.add(ringEvent(previous, next))
			c.counts.changed(previous.Ring, next.Ring)
		}
		if c.handoff != nil && c.settled.Load() {
			c.handoff.view(&next.View, c.members.Local().State)
		}
		c.changed.Signal()
		if !c.activate(ctx, next) {
			_, version := c.members.Members()
			return version == basis
		}
	}
}

// activate announces that this member owns, once it knows the cluster, can run
// what that runs, and has received what it is to own. It reports whether it did so
// now.
func (c *Cluster) activate(ctx context.Context, v *published) bool {
	self := c.members.Local()
	_, capable := c.settings.configs[v.Configuration]
	if self.State != membership.Joining || !c.settled.Load() || !capable || c.superseded(self) {
		return false
	}
	switch {
	case self.Origin != 0:
		// It is back, and owes what it has missed. Where all were away, it is not
		// to begin before enough of them are.
		if !view.Formed(v.Members) && !c.enough(v) {
			return false
		}
	case !view.Formed(v.Members):
		if !c.mayFound(v, self) {
			return false
		}
		if c.handoff != nil {
			c.handoff.found()
		}
	case c.handoff != nil && !c.handoff.joined():
		return false
	}
	return membership.Drive(c.members).SetState(ctx, membership.Active) == nil
}

// mayFound reports whether this member may be the first to own: when enough are
// there, or it has waited for long enough. With a handoff the one with the lowest
// NodeID begins, and the others receive from it: of two that began at once each
// would take itself for the one that has everything.
func (c *Cluster) mayFound(v *published, self membership.Member) bool {
	if !c.enough(v) {
		return false
	}
	if c.handoff == nil {
		return true
	}
	for _, m := range v.Members {
		if m.State == membership.Joining && m.Origin != 0 {
			return false // it has data, and begins itself
		}
	}
	for _, m := range v.Members {
		if m.State == membership.Joining && slices.Contains(m.Configurations, v.Configuration) {
			return m.ID == self.ID
		}
	}
	return false
}

// enough reports whether so many members are there that one may begin, or it has
// waited for long enough.
func (c *Cluster) enough(v *published) bool {
	return c.present(v) >= c.settings.MinMembers || c.settings.BootstrapAlone && c.waited() >= c.settings.BootstrapTimeout
}

// present counts the members that can own.
func (c *Cluster) present(v *published) int {
	n := 0
	for _, m := range v.Members {
		if m.State == membership.Joining || m.State == membership.Active || m.State == membership.Draining {
			n++
		}
	}
	return n
}

// waited is for how long this member has known the cluster.
func (c *Cluster) waited() time.Duration { return time.Since(time.Unix(0, c.joinedAt.Load())) }

// waitsForMembers reports whether too few members keep this one from owning.
func (c *Cluster) waitsForMembers() bool {
	v := c.view.Load()
	return c.settled.Load() && c.settings.MinMembers > 1 && c.members.Local().State == membership.Joining && !view.Formed(v.Members)
}

// superseded reports whether a newer start of our NodeID speaks for it.
func (c *Cluster) superseded(self membership.Member) bool {
	rivals := membership.Drive(c.members).Rivals()
	return len(rivals) > 0 && rivals[0].Start.Compare(self.Start) > 0
}
