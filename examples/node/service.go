package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/route"
)

const (
	serviceName = "echo"
	servicePath = "/echo/"
	// patience is how long a request waits for its owner: longer than members need to notice a crash.
	patience = 15 * time.Second
)

// service is the service of this program, at /echo/{key}: the owner of the key answers with its
// name. Replace its handler with your own.
type service struct {
	router atomic.Pointer[route.Router] // nil until the member is made
}

// echo is the answer of the service.
type echo struct {
	Key       string `json:"key"`
	Partition int    `json:"partition"`
	Node      string `json:"node"` // the member that has answered
	Zone      string `json:"zone"`
	From      string `json:"from,omitempty"` // the member that has forwarded the request
}

// addTo serves the service on the HTTP address of a member, behind its guard, and announces it where
// the address is known by now.
func (s *service) addTo(o *cluster.Options) {
	o.HTTP.Handler.Middleware = append(o.HTTP.Handler.Middleware, s.mount)
	if addr := knownAddr(*o); addr != "" {
		o.Services = map[string]string{serviceName: addr}
	}
}

// mount is a middleware that passes requests for the service to its router.
func (s *service) mount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		router := s.router.Load()
		if router == nil || !strings.HasPrefix(r.URL.Path, servicePath) {
			next.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

// begin makes the router of the service, and adds its metrics, and those of Go and of the process, to
// those of the member.
func (s *service) begin(member *cluster.Cluster, o cluster.Options) error {
	scheme := "http"
	if o.HTTP.Server.TLS.CertFile != "" {
		scheme = "https"
	}
	router, err := member.Router(answer(member), route.Options{
		Service: serviceName, Scheme: scheme, Transport: member.Client().Transport, Patience: patience,
		Key: func(r *http.Request) (string, bool) {
			key := strings.TrimPrefix(r.URL.Path, servicePath)
			return key, key != ""
		},
	})
	if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	s.router.Store(router)
	h := member.Handler()
	for _, register := range []func() error{
		func() error { return h.RegisterMetrics(transport.NewRouterCollector(router)) },
		func() error { return h.RegisterMetrics(collectors.NewGoCollector()) },
		func() error {
			return h.RegisterMetrics(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		},
	} {
		if err := register(); err != nil {
			return fmt.Errorf("service: %w", err)
		}
	}
	return nil
}

// announce announces the address of the service, where it was not known before.
func (s *service) announce(ctx context.Context, member *cluster.Cluster) error {
	local := member.Local()
	if local.HTTPAddr == "" || local.Services[serviceName] == local.HTTPAddr {
		return nil
	}
	return member.Update(ctx, func(a *membership.Attributes) {
		a.Services = map[string]string{serviceName: local.HTTPAddr}
	})
}

// end closes the router, after the server has ended.
func (s *service) end() {
	if router := s.router.Load(); router != nil {
		_ = router.Close() // Close returns nil
	}
}

// answer is the handler of the service. It runs on an owner of the key.
func answer(member *cluster.Cluster) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		placement, from, ok := route.Routed(r.Context())
		if !ok {
			http.Error(w, "give a key, as in "+servicePath+"user:42", http.StatusBadRequest)
			return
		}
		local := member.Local()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(echo{ // the caller may be gone
			Key: strings.TrimPrefix(r.URL.Path, servicePath), Partition: placement.Partition(),
			Node: local.ID, Zone: local.Zone, From: from,
		})
	})
}

// knownAddr returns the address at which others reach the HTTP interface, or "" where it depends on
// addresses that are not bound yet.
func knownAddr(o cluster.Options) string {
	if o.HTTP.AdvertiseAddr != "" {
		return o.HTTP.AdvertiseAddr
	}
	host, port, err := net.SplitHostPort(o.HTTPAddr)
	if err != nil || port == "0" {
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return o.HTTPAddr
	}
	advertise := o.Gossip.AdvertiseAddr
	if host, _, err := net.SplitHostPort(advertise); err == nil {
		advertise = host
	}
	if ip, err := netip.ParseAddr(advertise); err == nil {
		return net.JoinHostPort(ip.String(), port)
	}
	return ""
}
