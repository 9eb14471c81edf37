package cluster

import (
	"net/http"

	"github.com/clusterkit/clusterkit/transport/route"
)

// Router returns a handler that runs h for the requests that this member should answer,
// by the owners of their keys. It forwards all other requests to the member that should
// answer them: see [route.Router]. Serve it on the address that Options.Services or
// Update announces under the name in the router's Options.Service. It may be made and
// served before Start. Until there is a ring, it answers requests that have a key with
// 503.
//
// Without a Logger of its own the router uses the cluster's. Close the router
// after the server in front of it. The error is that of [route.New].
func (c *Cluster) Router(h http.Handler, o route.Options) (*route.Router, error) {
	if o.Logger == nil {
		o.Logger = c.settings.Logger
	}
	return route.New(routing{httpView{c}}, h, o)
}

// RoundTripper returns a round tripper that sends the requests of this process straight to
// the owners of their keys: see [route.RoundTripper]. A member and an observer may have one;
// the members that serve put a router in front of their handlers. It may be made before Start.
// Until there is a ring, requests wait for as long as the Patience of its Options.
//
// Without a Logger of its own the round tripper uses the cluster's. Close it after the last
// request. The error is that of [route.NewRoundTripper].
func (c *Cluster) RoundTripper(o route.Options) (*route.RoundTripper, error) {
	if o.Logger == nil {
		o.Logger = c.settings.Logger
	}
	return route.NewRoundTripper(routing{httpView{c}}, o)
}

// Routing returns the views of this process as routers of other packages follow them, such as
// that of the module transport/grpcroute. It may be used before Start. Until there is a view
// its ring is nil.
func (c *Cluster) Routing() route.Cluster { return routing{httpView{c}} }

// Changed returns a channel that is closed when the view, the state or the health of
// this member has changed.
func (h httpView) Changed() <-chan struct{} { return h.c.changed.Wait() }
