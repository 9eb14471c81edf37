package cluster

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Handler returns the HTTP interface, to be mounted in a server of yours: see
// package transport. It may be mounted before Start. Its RegisterMetrics adds
// collectors of yours to what it serves at /metrics.
func (c *Cluster) Handler() *transport.Handler { return c.handler }

// HTTPAddr returns the address that HTTP is served on, with the port that was
// bound; empty when there is no listener.
func (c *Cluster) HTTPAddr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return ""
	}
	return c.server.Addr().String()
}

// listen binds the HTTP address, if there is one, before anybody is told of it.
func (c *Cluster) listen(ctx context.Context) error {
	if c.settings.HTTPAddr == "" {
		return nil
	}
	server, err := transport.Listen(c.settings.HTTPAddr, c.handler, c.settings.HTTP)
	if err != nil {
		return fmt.Errorf("cluster: serving HTTP on %q: %w", c.settings.HTTPAddr, err)
	}
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	return c.announceHTTP(ctx)
}

// announceHTTP announces where the others reach our HTTP, as far as that is
// known by now.
func (c *Cluster) announceHTTP(ctx context.Context) error {
	if c.settings.HTTPAddr == "" {
		return nil // AdvertiseHTTPAddr is announced already, or what Update said
	}
	addr := c.settings.AdvertiseHTTPAddr
	c.mu.Lock()
	server := c.server
	c.mu.Unlock()
	if addr == "" && server != nil {
		host, _, _ := splitHostPort(c.settings.HTTPAddr)
		bound, _ := netip.ParseAddrPort(server.Addr().String())
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
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
	return route.View{
		ClusterName:   h.c.settings.ClusterName,
		NodeID:        h.c.settings.NodeID,
		Version:       v.version,
		Ring:          v.Ring,
		Members:       v.Members,
		Fingerprint:   v.Fingerprint,
		Configuration: v.Configuration,
	}
}

func (h httpView) Metrics() transport.Metrics { return h.c.Metrics() }

func (h httpView) Health() api.Health { return h.c.Health() }
