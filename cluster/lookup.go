package cluster

import (
	"context"
	"fmt"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// Member is a member of the cluster, as that member announces itself.
type Member = membership.Member

// Lookup returns the owners of a key in this member's view. It takes nanoseconds,
// allocates nothing and never blocks. Before the first ring the placement has no
// owners.
func (c *Cluster) Lookup(key string) ring.Placement { return c.view.Load().Ring.Lookup(key) }

// Ring returns the ring that lookups answer from. It is immutable. Keep it for as long as
// several answers should agree with each other, and not longer. It also looks up keys
// held as bytes, and groups many keys by owner: [ring.Ring.Group]. Before the first ring
// it is empty.
func (c *Cluster) Ring() *ring.Ring { return c.view.Load().Ring }

// NodesForKey returns the owners of a key with their addresses, the primary first.
// Owners that are away come last. It waits until this member is ready, as
// [Cluster.WaitReady] does, and returns the errors of that method.
func (c *Cluster) NodesForKey(ctx context.Context, key string) ([]Member, error) {
	if err := c.WaitReady(ctx); err != nil {
		return nil, err
	}
	v := c.view.Load()
	placement := v.Ring.Lookup(key)
	nodes := make([]Member, 0, placement.Len())
	var away []Member
	for _, node := range placement.All() {
		switch m, ok := v.Member(node.ID()); {
		case ok && m.State == membership.Away:
			away = append(away, m)
		case ok:
			nodes = append(nodes, m)
		}
	}
	nodes = append(nodes, away...)
	return nodes, nil
}

// Members returns the members of the present view, in ascending order of ID: all
// members believed alive, this one included, and all that are [membership.Away]. The
// slice is shared and must not be modified.
func (c *Cluster) Members() []Member { return c.view.Load().Members }

// Member returns the member with an ID, and whether it is among [Cluster.Members]. It
// allocates nothing.
func (c *Cluster) Member(id string) (Member, bool) { return c.view.Load().Member(id) }

// Local returns this member, as it announces itself.
func (c *Cluster) Local() Member { return c.members.Local() }

// Fingerprint identifies this member's view: the ring, the configuration in use, and
// the members with their states. With a [Mover] it also identifies, for each member,
// the start with which its data began. Members with equal fingerprints agree on all of
// this. It is zero before the first view.
func (c *Cluster) Fingerprint() ring.Fingerprint { return c.view.Load().Fingerprint }

// Plan returns which partitions would move if a change were made: members added,
// removed, drained, or given another zone or weight. The change is applied to a copy of
// the ring, or of its target while members join or drain. The cluster stays as it is.
// Plan returns [ErrNoRing] before the first ring, and the errors of [rebalance.WhatIf].
// It takes as long as the strategy needs for one table.
func (c *Cluster) Plan(change rebalance.Change) (rebalance.Plan, error) {
	r := c.view.Load().Ring
	if r.Len() == 0 {
		return rebalance.Plan{}, fmt.Errorf("cluster: planning: %w", ErrNoRing)
	}
	_, plan, err := rebalance.WhatIf(r.Target(), change)
	if err != nil {
		return rebalance.Plan{}, fmt.Errorf("cluster: planning: %w", err)
	}
	return plan, nil
}

// Update edits the attributes that this member announces: its metadata, services, HTTP address
// and weight. They take effect here at once, and reach the other members with gossip: after about a thousand changes in
// quick succession, the latest one every two seconds.
// Partitions move when the weight changes. Update may be called before Start, for example by a
// service that learns its port only after [New]. The function edit must not call Update. Update
// waits while another call of it runs. Update changes nothing when it returns an error. The error is a
// [membership.MetadataSizeError] when the result does not fit, an [option.Error] when the
// weight is out of bounds, or the context's error when that ends first.
func (c *Cluster) Update(ctx context.Context, edit func(*membership.Attributes)) error {
	return c.members.Update(ctx, edit)
}

// Forget says that a member that was lost is gone for good. It need be called on one member: the
// others learn of it within about a minute. The members then no longer count the member as lost, and
// no longer look for it. Without Forget that ends after [membership.GossipOptions.ForgetAfter]. A
// forgotten member that comes back is let in. Forget changes no ring, and does not block. It reports
// whether this member counted such a member as lost.
func (c *Cluster) Forget(id string) bool { return membership.Drive(c.members).Forget(id) }
