package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/clusterkit/clusterkit/membership"
)

// discover makes the Discovery of -dns, -srv and -seeds-file, and the resolver of -dns-server.
func (c *config) discover(t *texts) error {
	var errs []error
	resolver, err := resolverOf(t.dnsServer)
	errs = append(errs, err)
	if resolver != nil { // a nil *net.Resolver in an interface would not be nil
		c.options.Gossip.Resolver = resolver
	}
	var all []membership.Discovery
	if t.dns != "" {
		name, port, err := splitName(t.dns, c.options.GossipAddr)
		errs = append(errs, err)
		all = append(all, membership.DNS{Name: name, Port: port, Resolver: c.options.Gossip.Resolver})
	}
	if t.srv != "" {
		all = append(all, membership.SRV{Name: t.srv, Resolver: c.options.Gossip.Resolver})
	}
	if t.seedsFile != "" {
		all = append(all, membership.File{Path: t.seedsFile})
	}
	if len(all) > 0 {
		c.options.Discovery = membership.Join(all...)
	}
	return errors.Join(errs...)
}

// splitName splits the value of -dns into a name and a port. Without a port it returns that of the
// gossip address.
func splitName(value, gossip string) (name string, port int, err error) {
	name, digits, err := net.SplitHostPort(value)
	if err != nil {
		name = value
		_, digits, _ = net.SplitHostPort(gossip) // an error of -gossip is reported by the options
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port < 1 || port > 65535 {
		return name, 0, fmt.Errorf("-dns is %q: must be a name, or name:port with a port from 1 to 65535 where -gossip has no port", value)
	}
	return name, port, nil
}

// resolverOf returns a resolver that asks one DNS server, or nil for that of the system.
func resolverOf(server string) (*net.Resolver, error) {
	if server == "" {
		return nil, nil
	}
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		return nil, fmt.Errorf("-dns-server is %q: must be IP:port, such as 10.0.0.2:53", server)
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr.String())
	}}, nil
}
