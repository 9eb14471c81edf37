package cluster

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// agreement is how far the published view is known to be that of all members that can
// hold it; see membership.
type agreement struct {
	fingerprint uint64
	complete    bool
	differing   []api.Differing
	since       time.Time
}

// agreement returns how far the published view is agreed.
func (c *Cluster) agreement() agreement {
	now := membership.Drive(c.members).Agreement()
	a := agreement{
		fingerprint: now.Fingerprint, complete: now.Complete, since: now.Since,
		differing: make([]api.Differing, 0, len(now.Differing)),
	}
	for _, d := range now.Differing {
		a.differing = append(a.differing, api.Differing(d))
	}
	return a
}

// agreed returns how far the view is agreed, and whether that view is derived from the
// members that there are now.
func (c *Cluster) agreed() (a agreement, current bool) {
	a = c.agreement()
	v := c.view.Load()
	_, version := c.members.Members()
	return a, v.basis == version && uint64(v.Fingerprint) == a.fingerprint
}
