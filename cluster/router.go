package cluster

import (
	"net/http"

	"github.com/clusterkit/clusterkit/transport/route"
)

// Router returns a handler that runs h for the requests whose keys this member
// should answer for, and forwards the others to the member that should: see
// [route.Router]. Serve it on the address that Options.Services, or Update,
// announces under the router's Options.Service. It may be made and served before Start;
// until there is a ring, requests that have a key are answered with 503.
//
// Without a Logger of its own the router uses the cluster's. Close the router
// after the server in front of it. The error is that of [route.New].
func (c *Cluster) Router(h http.Handler, o route.Options) (*route.Router, error) {
	if o.Logger == nil {
		o.Logger = c.settings.Logger
	}
	return route.New(httpView{c}, h, o)
}

// Changed returns a channel that is closed when the view has changed, or
// something else has that others wait for.
func (h httpView) Changed() <-chan struct{} { return h.c.changed.Wait() }
