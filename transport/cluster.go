package transport

import (
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Cluster is what the handler answers from. Both methods are called for every
// request, concurrently; they must be cheap and must not block.
type Cluster interface {
	// View returns what this member believes now, as one consistent value.
	View() route.View
	// Health returns how this member is. ClusterName and NodeID may be empty: the
	// handler takes them from the view.
	Health() api.Health
}
