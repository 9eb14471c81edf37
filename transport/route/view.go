package route

import (
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// View is one consistent picture of the cluster, taken at one moment. Nothing
// in it changes afterwards and nothing in it may be modified.
type View struct {
	// ClusterName and NodeID say whose view it is.
	ClusterName, NodeID string
	// Version counts the views this process has published; zero before the
	// first.
	Version uint64
	// Ring is the serving ring, with its target; nil before the first.
	Ring *ring.Ring
	// Members are the members believed alive, in ascending order of ID, this
	// one included.
	Members []membership.Member
	// Fingerprint is equal on members whose views are equal.
	Fingerprint ring.Fingerprint
	// Configuration names the replication factor and strategy in use.
	Configuration string
}
