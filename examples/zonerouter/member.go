package main

import (
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/membership"
)

// runMember runs one member of the demonstration in a process of its own.
func runMember(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("zonerouter member", flag.ContinueOnError)
	id := flags.String("id", "", "this member's name")
	zone := flags.String("zone", "", "the zone it is in")
	join := flags.String("join", "", "address of gossip to join through")
	link := flags.Duration("link", 0, "what a request to another zone is made to wait")
	verbose := flags.Bool("v", false, "show what the library logs, on standard error")
	attached := flags.Bool("attached", false, "end when standard input does")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *attached {
		ctx = demo.Attached(ctx, in)
	}
	// The service listens first, so that its address can be announced.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o := cluster.Options{
		ClusterName: "zonerouter",
		NodeID:      *id,
		Zone:        *zone,
		GossipAddr:  "127.0.0.1:0", // any free port
		HTTPAddr:    "127.0.0.1:0",
		Services:    map[string]string{"kv": listener.Addr().String()},
		Gossip:      membership.GossipOptions{Profile: membership.Local},
		Logger:      demo.Logger(*verbose).With("member", *id),
	}
	if *join != "" {
		o.Seeds = []string{*join}
	}
	c, err := cluster.New(o)
	if err != nil {
		return err
	}

	router, err := newRouter(c, *id, *zone, func(next http.RoundTripper) http.RoundTripper {
		return &distance{c: c, zone: *zone, link: *link, next: next}
	})
	if err != nil {
		return err
	}
	return serve(ctx, c, router, listener, func() error {
		return demo.Serving(out, c.HTTPAddr(), c.Local().Addr.String(), listener.Addr().String())
	})
}

// distance delays requests to other zones, like a real distance. It also shows the
// place for tracing: around every attempt.
type distance struct {
	c    *cluster.Cluster
	zone string
	link time.Duration
	next http.RoundTripper
}

// RoundTrip waits, and then sends the request.
func (d *distance) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, m := range d.c.Members() {
		if m.Services["kv"] == r.URL.Host && m.Zone != d.zone {
			timer := time.NewTimer(d.link)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done(): // the next round tripper returns the error
			}
		}
	}
	return d.next.RoundTrip(r)
}
