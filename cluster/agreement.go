package cluster

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// agreement says how many of the members that can hold the published view are known to
// hold it; see membership.
type agreement struct {
	fingerprint uint64
	complete    bool
	differing   []api.Differing
	since       time.Time
}

// agreement returns the agreement on the published view.
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

// agreed returns the agreement on the published view, and whether that view is derived
// from the newest list of members.
func (c *Cluster) agreed() (a agreement, current bool) {
	a = c.agreement()
	v := c.view.Load()
	_, version := c.members.Members()
	return a, v.basis == version && uint64(v.Fingerprint) == a.fingerprint
}
