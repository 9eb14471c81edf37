package cluster

import (
	"context"

	"github.com/clusterkit/clusterkit/membership"
)

// followReach takes this member out of ownership while no other member reaches it at the address that it
// announces. Otherwise the other members would find this member dead and alive in turn, and change their
// rings each time. This member announces that it is an observer, so that all rings change once. It joins
// again when another member reaches it. Where no other member owns, this member stays an owner: a ring is
// never empty.
func (c *Cluster) followReach(ctx context.Context) {
	unreached := membership.Drive(c.members).Unreached() != nil
	switch {
	case unreached && !c.retreated && c.ownedBeside():
		c.retreated = membership.Drive(c.members).Retreat(ctx)
	case !unreached && c.retreated:
		membership.Drive(c.members).Advance(ctx)
		c.retreated = false
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
