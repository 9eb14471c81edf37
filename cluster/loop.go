package cluster

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// published is the view that lookups answer from. It is immutable.
type published struct {
	view.View
	version uint64 // the number of views of this process so far
	basis   uint64 // the version of the member list that View was derived from
	// present are Members without those that have failed since. Routers pass over these, before
	// the ring that follows from it is derived.
	present []Member
}

// loop is the state of the one goroutine that publishes views.
type loop struct {
	builder   view.Builder
	problems  problemLog
	retreat   retreat            // this member observes because others do not reach it
	announced membership.State   // the last state of this member that subscribers were told
	refresh   chan chan struct{} // asks for a view at once
	calls     chan func()        // to be run while no view is derived
	recheck   chan struct{}      // asks to compute health again
	advance   chan struct{}      // says that this member may be able to own now
	abandoned atomic.Bool        // tells the strategy that no view is needed any more
	cancel    context.CancelFunc // ends the goroutine; guarded by phase.mu
	done      sync.WaitGroup
}

func newLoop(s *settings) loop {
	return loop{
		builder:   view.Builder{Configurations: s.configs, Self: s.NodeID},
		problems:  problemLog{log: s.Logger},
		announced: membership.Joining,
		refresh:   make(chan chan struct{}),
		calls:     make(chan func()),
		recheck:   make(chan struct{}, 1),
		advance:   make(chan struct{}, 1),
	}
}

// count counts the members in some states.
func (p *published) count(states ...membership.State) (n int) {
	for _, m := range p.Members {
		if slices.Contains(states, m.State) {
			n++
		}
	}
	return n
}

// healthInterval is how often health is computed when nothing happens: some problems
// depend on how long a condition has lasted.
const healthInterval = time.Second

// run is the one goroutine that replaces the view. It turns news from gossip into
// events at once, and into views at its pace.
func (c *Cluster) run(ctx context.Context) {
	gathering := newGathering(paceOf(c.settings.Gossip.Profile))
	defer gathering.done()
	publish := func() {
		gathering.done()
		if !c.publish(ctx) {
			gathering.add(otherChange, time.Now())
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
			about := c.forward()
			if about == oneFailure || about == moreFailed {
				c.passOver()
			}
			gathering.add(about, time.Now())
			c.followReach(ctx)
			c.checkHealth()
			c.changed.Signal()
		case f := <-c.calls:
			f()
		case done := <-c.refresh:
			publish()
			close(done)
		case <-gathering.timer.C:
			if gathering.ready(membership.Drive(c.members).Suspected(), time.Now()) {
				publish()
			}
		case <-c.recheck:
			c.checkHealth()
		case <-c.advance:
			publish()
		case <-health.C:
			c.followReach(ctx)
			if c.handoff != nil {
				c.handoff.drive(handoff.Paused{Cause: handoff.Isolated, On: membership.Drive(c.members).Isolated()})
			}
			if c.view.Load().Failure != nil {
				publish() // the strategy may have recovered
			} else if c.mayBeginLater() {
				publish() // this member may have waited long enough
			} else {
				c.checkHealth()
			}
		}
	}
}

// forward hands the events of membership to subscribers, and adds one when this member
// has announced another state. It returns what the events of membership are about.
func (c *Cluster) forward() news {
	about := noNews
	events := membership.Drive(c.members).TakeEvents()
	for _, e := range events {
		kind := memberKind(e.Kind.String())
		about = about.and(c.newsOf(kind, e.Before, e.After))
		if view.Gone(e.After) && !view.Gone(e.Before) {
			c.settings.Logger.Info("a member is away and keeps its place", "member", e.ID, "until", e.After.Until)
		}
		c.events.add(Event{Kind: kind, At: e.At, Member: &MemberChange{ID: e.ID, Before: e.Before, After: e.After, Away: e.Away}})
	}
	if self := c.members.Local(); self.State != c.announced {
		before := self
		before.State, c.announced = c.announced, self.State
		c.events.add(Event{Kind: StateChanged, At: time.Now(), Member: &MemberChange{ID: self.ID, Before: before, After: self}})
		c.changed.Signal()
	}
	return about
}

// newsOf returns what an event is about. The return of a member that does not own changes no owner, and neither does that
// of one that kept its place. A cluster of two has no others that could confirm a death.
func (c *Cluster) newsOf(kind EventKind, before, after Member) news {
	switch {
	case kind == MemberFailed:
		return oneFailure
	case kind == MemberRejoined && !view.Gone(before) && before.Start == after.Start && after.State == membership.Active && len(c.view.Load().Members) > 1:
		return oneReturn
	default:
		return otherChange
	}
}

// passOver makes routers pass over the members that have failed since the present view.
func (c *Cluster) passOver() {
	v := *c.view.Load()
	now, _ := c.members.Members()
	v.present = slices.DeleteFunc(slices.Clone(v.Members), func(m Member) bool {
		_, alive := slices.BinarySearchFunc(now, m.ID, func(m Member, id string) int { return strings.Compare(m.ID, id) })
		return !alive
	})
	c.view.Store(&v)
}

// publish derives the view of the present members and makes it the one that lookups
// see. When this member may begin to own under that view, it announces that it is
// active, and publish publishes the view that follows too. It reports whether the view
// covers all events that it has forwarded.
func (c *Cluster) publish(ctx context.Context) (current bool) {
	for {
		previous := c.view.Load()
		members, basis := c.members.Members()
		// Subscribers get the events of members before the ring that follows from them.
		// Later events are forwarded too.
		c.forward()
		begun, asked := time.Now(), c.builder.Asked()
		derived := c.derive(ctx, members, &previous.View)
		if derived == nil {
			return false
		}
		next := &published{View: *derived, version: previous.version + 1, basis: basis}
		next.present = next.Members
		if c.builder.Asked() > asked {
			c.counts.rebuilt(time.Since(begun), next.Failure != nil)
		}
		if next.Fingerprint == previous.Fingerprint && next.Configuration == previous.Configuration {
			next.version = previous.version
		}
		runs := next.Configuration
		if _, capable := c.settings.configs[runs]; !capable {
			runs = "" // tells the other members why our view differs from theirs
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
		if c.owning(next) >= c.settings.Bootstrap.MinMembers {
			c.founding.Store(false)
		}
		c.changed.Signal()
		if !c.activate(ctx, next) {
			_, version := c.members.Members()
			return version == basis
		}
	}
}

// derive derives a view on another goroutine, because a strategy may take long, or never return.
// Meanwhile it computes health. It returns nil when the context ends. The goroutine then ends with the
// call of the strategy, which is told that the view is not needed, and nothing uses the builder any more.
func (c *Cluster) derive(ctx context.Context, members []Member, previous *view.View) *view.View {
	if ctx.Err() != nil {
		return nil
	}
	begun := time.Now()
	c.deriving.Store(&begun)
	defer c.deriving.Store(nil)
	done := make(chan *view.View, 1)
	go func() { done <- c.builder.Derive(members, previous) }()
	health := time.NewTicker(healthInterval)
	defer health.Stop()
	for {
		select {
		case v := <-done:
			return v
		case <-health.C:
			c.checkHealth()
		case <-ctx.Done():
			c.abandoned.Store(true)
			return nil
		}
	}
}
