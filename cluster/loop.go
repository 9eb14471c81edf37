package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// pace says how the loop gathers changes: it waits until no change has come for the
// time quiet, but no longer than the time longest after the first change.
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
	version uint64 // the number of views of this process so far
	basis   uint64 // the version of the member list that View was derived from
}

// loop is the state of the one goroutine that publishes views.
type loop struct {
	builder   view.Builder
	problems  problemLog
	retreated bool               // this member observes because no other member reaches it
	announced membership.State   // the last state of this member that subscribers were told
	refresh   chan chan struct{} // asks for a view at once
	calls     chan func()        // to be run while no view is derived
	recheck   chan struct{}      // asks to compute health again
	advance   chan struct{}      // says that this member may be able to own now
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
	pace := paceOf(c.settings.Gossip.Profile)
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
			c.followReach(ctx)
			c.checkHealth()
			c.changed.Signal()
		case f := <-c.calls:
			f()
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
// has announced another state. It reports whether there were any events of membership.
func (c *Cluster) forward() bool {
	events := membership.Drive(c.members).TakeEvents()
	for _, e := range events {
		if view.Gone(e.After) && !view.Gone(e.Before) {
			c.settings.Logger.Info("a member is away and keeps its place", "member", e.ID, "until", e.After.Until)
		}
		c.events.add(Event{Kind: memberKind(e.Kind.String()), At: e.At, Member: &MemberChange{ID: e.ID, Before: e.Before, After: e.After, Away: e.Away}})
	}
	if self := c.members.Local(); self.State != c.announced {
		before := self
		before.State, c.announced = c.announced, self.State
		c.events.add(Event{Kind: StateChanged, At: time.Now(), Member: &MemberChange{ID: self.ID, Before: before, After: self}})
		c.changed.Signal()
	}
	return len(events) > 0
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
		next := &published{View: *c.builder.Derive(members, &previous.View), version: previous.version + 1, basis: basis}
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
