package route

import (
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// View is a consistent view of the cluster at one moment. It never changes, and must
// not be modified.
type View struct {
	// ClusterName and NodeID identify the member that has the view.
	ClusterName, NodeID string
	// Version is the number of views that this process has published so far; zero
	// before the first.
	Version uint64
	// Ring is the serving ring, with its target; nil before the first.
	Ring *ring.Ring
	// Members are the members believed alive, in ascending order of ID, this
	// one included.
	Members []membership.Member
	// Fingerprint is equal on two members if their views are equal.
	Fingerprint ring.Fingerprint
	// Configuration names the replication factor and strategy in use.
	Configuration string
}
