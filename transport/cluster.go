package transport

import (
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Cluster is the source of the handler's answers. Both methods may be called for every
// request, concurrently. They must be fast and must not block.
//
// A cluster may have further methods, as that of package cluster has: Metrics for
// /metrics, Changed and Stopping for requests that wait, EventsAfter for events, Lost for
// members that have failed, and those behind the actions.
type Cluster interface {
	// View returns this member's present view, as one consistent value.
	View() route.View
	// Health returns the health of this member. ClusterName and NodeID may be empty:
	// the handler takes them from the view.
	Health() api.Health
}
