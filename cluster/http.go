package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/hostport"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Handler returns the HTTP interface, to be mounted in a server of your own: see
// package transport. It may be mounted before Start. Its method RegisterMetrics adds
// your own collectors to the figures at /metrics.
func (c *Cluster) Handler() *transport.Handler { return c.handler }

// Guard returns the guard of HTTP.Guard, for routes of the service's own: Wrap a handler with
// it, and the handler takes the tokens and limits that [Cluster.Handler] takes. It is never
// nil, and is safe for concurrent use.
func (c *Cluster) Guard() *transport.Guard { return c.guard }

// Client returns an HTTP client for routes of the service's own on other members. It keeps
// connections, speaks TLS with the files of HTTP.Server.TLS, and sends the first token of
// HTTP.Guard with every request that has no Authorization header. So send requests only to
// members. It follows no redirect, and has no timeout but the context of a request. It may be
// used from New on; once Stop has returned its requests fail with [client.ErrClosed]. It is
// never nil, and is safe for concurrent use. A service with other needs makes a [client.Pool]
// of its own.
func (c *Cluster) Client() *http.Client {
	// A redirect would lead the token elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: c.pool, CheckRedirect: stay}
}

// HTTPAddr returns the address on which this member serves HTTP, with the port that was
// bound. It is empty before Start, after Stop, and where HTTP is not served.
func (c *Cluster) HTTPAddr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return ""
	}
	return c.server.Addr().String()
}

// newHandler makes the HTTP interface. It reads the files that the interface and its server
// will need, so that New returns the errors of these files.
func (c *Cluster) newHandler() error {
	guard, err := transport.NewGuard(c.settings.HTTP.Guard)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if _, serves := c.settings.serves(); serves && c.settings.HTTP.Server.TLS.CertFile != "" {
		if _, err := transport.ServerTLS(c.settings.HTTP.Server.TLS, c.settings.Logger); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if err := c.newPool(); err != nil {
		return err
	}
	c.settings.HTTP.Guard.Tokens = nil // guard and pool have copied the tokens that they need
	c.guard = guard
	o := c.settings.HTTP.Handler
	o.Middleware = append([]func(http.Handler) http.Handler{guard.Wrap}, o.Middleware...)
	c.handler, err = transport.NewHandler(httpView{c}, o)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// newPool makes the pool of Client. It reads the files of TLS and the tokens.
func (c *Cluster) newPool() (err error) {
	guard := c.settings.HTTP.Guard
	o := client.PoolOptions{TLS: c.settings.HTTP.Server.TLS, TokensInClear: guard.TokensInClear, Logger: c.settings.Logger}
	if len(guard.Tokens) > 0 {
		o.Token = guard.Tokens[0].Token
	} else {
		o.TokenFile = guard.TokenFile
	}
	if c.pool, err = client.NewPool(o); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// listen begins to serve HTTP, where the options ask for it, before the address is
// announced.
func (c *Cluster) listen(ctx context.Context) error {
	addr, serves := c.settings.serves()
	if !serves {
		return nil
	}
	var server *transport.Server
	var err error
	if l := c.settings.HTTP.Listener; l != nil {
		server, err = transport.Serve(l, c.handler, c.settings.HTTP.Server)
	} else {
		server, err = transport.Listen(addr, c.handler, c.settings.HTTP.Server)
	}
	if err != nil {
		return fmt.Errorf("cluster: serving HTTP on %q: %w", addr, err)
	}
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	return c.announceHTTP(ctx)
}

// closeHTTP closes the pool of Client, and HTTP.Listener if the server has not closed it.
func (c *Cluster) closeHTTP() {
	_ = c.pool.Close() // Close returns nil
	if l := c.settings.HTTP.Listener; l != nil {
		_ = l.Close() // the listener may be closed already
	}
}

// announceHTTP announces the address at which other members reach our HTTP, where that address
// is known by now.
func (c *Cluster) announceHTTP(ctx context.Context) error {
	bind, serves := c.settings.serves()
	if !serves {
		return nil // HTTP.AdvertiseAddr or an address from Update is announced already
	}
	addr := c.settings.HTTP.AdvertiseAddr
	c.mu.Lock()
	server := c.server
	c.mu.Unlock()
	if addr == "" && server != nil {
		host, _, _ := hostport.Split(bind)
		bound, _ := netip.ParseAddrPort(server.Addr().String())
		if isAnywhere(host) {
			host = ""
			if local := c.members.Local().Addr; local.IsValid() {
				host = local.Addr().String()
			}
		}
		if host != "" {
			addr = joinHostPort(host, bound.Port())
		}
	}
	err := c.members.Update(ctx, func(a *membership.Attributes) { a.HTTPAddr = addr })
	if err != nil {
		return fmt.Errorf("cluster: announcing the HTTP address: %w", err)
	}
	return nil
}

// httpView shows the cluster to the HTTP handler.
type httpView struct{ c *Cluster }

func (h httpView) View() route.View {
	v := h.c.view.Load()
	return h.show(v, v.Members)
}

func (h httpView) show(v *published, members []Member) route.View {
	return route.View{
		ClusterName:   h.c.settings.ClusterName,
		NodeID:        h.c.settings.NodeID,
		Version:       v.version,
		Ring:          v.Ring,
		Members:       members,
		Fingerprint:   v.Fingerprint,
		Configuration: v.Configuration,
	}
}

// routing shows the cluster to routers. They do not choose members that have failed since
// the ring was derived.
type routing struct{ httpView }

func (r routing) View() route.View {
	v := r.c.view.Load()
	return r.show(v, v.present)
}

// Lost returns the members that have failed and have not come back.
func (h httpView) Lost() (lost []api.LostMember) {
	for m, since := range membership.Drive(h.c.members).Lost() {
		lost = append(lost, api.LostMember{ID: m.ID, Region: m.Region, Zone: m.Zone, Addr: m.Addr, Since: since.UTC()})
	}
	return lost
}

// Doubt says that a member refused a connection. The members that hold tethers to it look at once whether
// its process runs. Doubt never blocks.
func (r routing) Doubt(id string) { membership.Drive(r.c.members).Doubt(id) }

func (h httpView) Metrics() transport.Metrics { return h.c.Metrics() }

func (h httpView) Health() api.Health { return h.c.Health() }

// Stopping returns a channel that is closed when Stop begins.
func (h httpView) Stopping() <-chan struct{} { return h.c.life.Ending().Done() }

func (h httpView) EventsAfter(id string) ([]api.Event, <-chan struct{}) {
	return h.c.events.log.after(id)
}
