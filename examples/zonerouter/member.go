package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
)

// memberSettings say which member a process is.
type memberSettings struct{ id, zone, join string }

// Headers by which this program tells itself who has answered.
const (
	servedBy = "Served-By"
	servedIn = "Served-In"
)

// runMember is one member: the cluster, a service, and a router in front of it. It
// prints its addresses, and ends when its standard input does.
func runMember(ctx context.Context, s settings, in io.Reader, out io.Writer) error {
	logger := slog.New(slog.DiscardHandler)
	if s.verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("member", s.member.id)
	}
	// The service listens first, so that its address can be announced.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o := cluster.Options{
		ClusterName: "zonerouter",
		NodeID:      s.member.id,
		Zone:        s.member.zone,
		GossipAddr:  "127.0.0.1:0", // any free port
		HTTPAddr:    "127.0.0.1:0",
		Services:    map[string]string{"kv": listener.Addr().String()},
		Gossip:      membership.Local,
		Logger:      logger,
	}
	if s.member.join != "" {
		o.Seeds = []string{s.member.join}
	}
	c, err := cluster.New(o)
	if err != nil {
		return err
	}

	router, err := c.Router(service(s.member), transport.RouterOptions{
		Service: "kv",
		Key: func(r *http.Request) (string, bool) {
			return strings.CutPrefix(r.URL.Path, "/kv/")
		},
		Policy: func(r *http.Request) transport.Policy {
			switch {
			case r.Method != http.MethodGet:
				return transport.PrimaryOnly // every write of a key in one place
			case r.URL.Query().Get("zones") == "ignore":
				return transport.PrimaryFirst // only to compare
			default:
				return transport.Nearest
			}
		},
		Patience: 20 * time.Second, // longer than it takes to notice a crash
		Wrap: func(next http.RoundTripper) http.RoundTripper {
			return &distance{c: c, zone: s.member.zone, link: s.link, next: next}
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
	_, _ = fmt.Fprintf(out, "%s %s %s\n", c.Local().Addr, c.HTTPAddr(), listener.Addr())
	parent := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(parent)
	}()
	select {
	case <-parent:
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	// In this order: the others hear that we leave, requests under way end.
	leaving, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Stop(leaving) // when all leave at the same time nobody is there to agree
	_ = server.Shutdown(leaving)
	return router.Close()
}

// service is the handler that owners run. Yours would look the key up.
func service(m memberSettings) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(servedBy, m.id)
		w.Header().Set(servedIn, m.zone)
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
