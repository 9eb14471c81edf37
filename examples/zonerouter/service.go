package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Response headers that say which member answered, and in which zone.
const (
	servedBy = "Served-By"
	servedIn = "Served-In"
)

// newRouter puts a router in front of the service: it sends each request to an owner of
// its key. Each attempt goes through the transport that wrap returns.
func newRouter(c *cluster.Cluster, id, zone string, wrap func(http.RoundTripper) http.RoundTripper) (*route.Router, error) {
	return c.Router(service(id, zone), route.Options{
		Service: "kv",
		Key: func(r *http.Request) (string, bool) {
			return strings.CutPrefix(r.URL.Path, "/kv/")
		},
		Policy: func(r *http.Request) route.Policy {
			switch {
			case r.Method != http.MethodGet:
				return route.PrimaryOnly // all writes of a key go to one member
			case r.URL.Query().Get("zones") == "ignore":
				return route.PrimaryFirst // only for the comparison
			default:
				return route.Nearest
			}
		},
		Patience: 2 * time.Minute, // longer than the time to notice a crash, also on a busy machine
		Wrap:     wrap,
	})
}

// service is the handler that owners run. In your service it would look the key up.
func service(id, zone string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(servedBy, id)
		w.Header().Set(servedIn, zone)
		_, _ = io.WriteString(w, "value of "+r.URL.Path+"\n")
	})
}

// serve starts the member and serves its router on the listener until the context ends.
// Then the member leaves, requests under way end, and the router closes, in this order.
// It calls ready once the member has started.
func serve(ctx context.Context, c *cluster.Cluster, router *route.Router, listener net.Listener, ready func() error) error {
	server := &http.Server{Handler: router, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := c.Start(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	if err := ready(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	leaving, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Stop(leaving) // when all members leave at the same time, no member is left to agree
	_ = server.Shutdown(leaving)
	return router.Close()
}
