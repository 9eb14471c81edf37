package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Headers by which this program tells itself who has answered.
const (
	servedBy = "Served-By"
	servedIn = "Served-In"
)

// runMember is one member: the cluster, a service, and a router in front of it.
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

	router, err := c.Router(service(*id, *zone), route.Options{
		Service: "kv",
		Key: func(r *http.Request) (string, bool) {
			return strings.CutPrefix(r.URL.Path, "/kv/")
		},
		Policy: func(r *http.Request) route.Policy {
			switch {
			case r.Method != http.MethodGet:
				return route.PrimaryOnly // every write of a key in one place
			case r.URL.Query().Get("zones") == "ignore":
				return route.PrimaryFirst // only to compare
			default:
				return route.Nearest
			}
		},
		Patience: 2 * time.Minute, // longer than it takes to notice a crash, also on a machine that is busy
		Wrap: func(next http.RoundTripper) http.RoundTripper {
			return &distance{c: c, zone: *zone, link: *link, next: next}
		},
	})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: router, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	if err := c.Start(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	if err := demo.Serving(out, c.HTTPAddr(), c.Local().Addr.String(), listener.Addr().String()); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	// In this order: the others hear that we leave, requests under way end.
	leaving, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Stop(leaving) // when all members leave at the same time, none is left to agree
	_ = server.Shutdown(leaving)
	return router.Close()
}

// service is the handler that owners run. Yours would look the key up.
func service(id, zone string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(servedBy, id)
		w.Header().Set(servedIn, zone)
		_, _ = io.WriteString(w, "value of "+r.URL.Path+"\n")
	})
}

// distance makes requests to other zones wait, as between sites they would. It
// also shows where tracing goes: around every attempt.
type distance struct {
	c    *cluster.Cluster
	zone string
	link time.Duration
	next http.RoundTripper
}

// RoundTrip waits and sends.
func (d *distance) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, m := range d.c.Members() {
		if m.Services["kv"] == r.URL.Host && m.Zone != d.zone {
			timer := time.NewTimer(d.link)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done(): // the next one notices
			}
		}
	}
	return d.next.RoundTrip(r)
}
