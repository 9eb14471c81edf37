package cluster

import (
	"context"

	"github.com/clusterkit/clusterkit/membership"
)

// followReach takes this member out of ownership while no other member reaches it at the address that it
// announces, and for some time after other members declared it dead. Otherwise the other members would find
// this member dead and alive in turn, and change their rings each time. This member announces that it is an
// observer, so that all rings change once. It joins again when the reason is over. Where no other member
// owns, this member stays an owner: a ring is never empty.
func (c *Cluster) followReach(ctx context.Context) {
	m := membership.Drive(c.members)
	beside := c.ownedBeside()
	if c.retreated && !beside && len(c.view.Load().Members) > 1 && m.DeclaredDead() != nil {
		m.Forgive()
	}
	switch must := m.Unreached() != nil || m.DeclaredDead() != nil; {
	case must && !c.retreated && beside:
		c.retreated = m.Retreat(ctx)
	case !must && c.retreated:
		m.Advance(ctx)
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
