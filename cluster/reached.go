package cluster

import (
	"context"

	"github.com/clusterkit/clusterkit/membership"
)

// followReach takes this member out of ownership while no other member reaches it at the address that
// it announces. The others would take it for dead and alive in turn, and their rings would follow.
// The member announces itself that it observes, so that all rings change once, and joins again when
// it is reached. Where no other member owns it goes on: a ring is never empty.
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
