package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
)

// activate announces that this member is active, once it knows the cluster, can run the
// cluster's configuration, and has received the partitions that it is to own. A member
// whose earlier start has kept its place is active at once, and receives as an owner.
// activate reports whether it announced this now.
func (c *Cluster) activate(ctx context.Context, v *published) bool {
	self := c.members.Local()
	_, capable := c.settings.configs[v.Configuration]
	if self.State != membership.Joining || !c.settled.Load() || !capable || c.superseded(self) {
		return false
	}
	if membership.Drive(c.members).Return(ctx) {
		return true
	}
	switch {
	case self.Origin != 0:
		// It is back with its data, and merges what it has missed. Where all were away, it
		// must not begin before enough of them are back.
		if !c.formed(v) && !c.enough(v) {
			return false
		}
	case !c.formed(v):
		if !c.mayFound(v, self) {
			return false
		}
		if c.hands(v) {
			c.handoff.drive(handoff.Founding{})
			c.founding.Store(c.present(v) >= c.settings.Bootstrap.MinMembers)
		}
	case c.handoff != nil && !c.handoff.is(func(m *handoff.Machine) bool { return m.Summary().Joined }):
		return false // some partitions are not received yet
	}
	return membership.Drive(c.members).SetState(ctx, membership.Active) == nil
}

// formed reports whether any member owns that this one is to join.
func (c *Cluster) formed(v *published) bool {
	handing := ""
	if c.hands(v) {
		handing = v.Configuration
	}
	return view.Formed(v.Members, handing)
}

// hands reports whether there is a handoff under the configuration of a view.
func (c *Cluster) hands(v *published) bool {
	return c.settings.configs[v.Configuration].WriteQuorum > 0
}

// mayFound reports whether this member may be the first owner: when enough members are
// there, or this member has waited for long enough. With a handoff only the member with
// the lowest NodeID begins, and the others receive from it. If two members began at
// once, each would believe that it alone has all data.
func (c *Cluster) mayFound(v *published, self membership.Member) bool {
	if !c.enough(v) {
		return false
	}
	if !c.hands(v) {
		return true
	}
	for _, m := range v.Members {
		if m.State == membership.Joining && m.Origin != 0 {
			return false // the other member has data, and begins by itself
		}
	}
	for _, m := range v.Members {
		if m.State == membership.Joining && slices.Contains(m.Configurations, v.Configuration) {
			return m.ID == self.ID
		}
	}
	return false
}

// enough reports whether enough members are there for one to begin. Without MinMembers and with
// a handoff that is so in these cases:
//
//   - This member knows others, and has had time to find more.
//   - Its seeds name no other member.
//
// Two members that begin apart from each other would both accept writes.
func (c *Cluster) enough(v *published) bool {
	b, waited := c.settings.Bootstrap, c.waited() >= c.settings.Bootstrap.Timeout
	switch {
	case b.Alone && waited:
		return true
	case b.MinMembers > 0 || !c.hands(v):
		return c.present(v) >= b.MinMembers
	case len(v.Members) > 1:
		return waited
	}
	return membership.Drive(c.members).First()
}

// present counts the members that own or can come to own.
func (c *Cluster) present(v *published) int {
	return v.count(membership.Joining, membership.Active, membership.Away, membership.Draining)
}

// owning counts the members that own partitions.
func (c *Cluster) owning(v *published) int {
	return v.count(membership.Active, membership.Away, membership.Draining)
}

// waited is the time since Start succeeded. It does not change when the clock is set, as it often is soon after a host
// has booted.
func (c *Cluster) waited() time.Duration {
	if joined := c.joined.Load(); joined != nil {
		return time.Since(*joined)
	}
	return 0
}

// mayBeginLater reports whether this member does not own, and no other one does.
func (c *Cluster) mayBeginLater() bool {
	return c.settled.Load() && c.members.Local().State == membership.Joining && !c.formed(c.view.Load())
}

// waitsForMembers reports whether too few members keep this one from owning.
func (c *Cluster) waitsForMembers() bool {
	return c.mayBeginLater() && !c.enough(c.view.Load())
}

// superseded reports whether a newer start of our NodeID has replaced this one.
func (c *Cluster) superseded(self membership.Member) bool {
	rivals := membership.Drive(c.members).Rivals()
	return len(rivals) > 0 && rivals[0].Start.Compare(self.Start) > 0
}
