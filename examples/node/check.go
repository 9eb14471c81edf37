package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const checkTimeout = 5 * time.Second

// check asks the member that has the same settings, on this host, whether it is ready. The error says
// why it is not.
func check(ctx context.Context, c config) error {
	host, port, err := net.SplitHostPort(c.options.HTTPAddr)
	if err != nil {
		return fmt.Errorf("-check: -http is %q: must be the address that the member serves", c.options.HTTPAddr)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	files, scheme, transport := c.options.HTTP.Server.TLS, "http", &http.Transport{}
	if files.CertFile != "" {
		scheme = "https"
		pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		if err != nil {
			return fmt.Errorf("-check: certificate %q with key %q: %w", files.CertFile, files.KeyFile, err)
		}
		// The certificate need not name this host's loopback. The answer is a status, and no
		// secret is sent.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/readyz?verbose", http.NoBody)
	if err != nil {
		return fmt.Errorf("-check: %w", err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("-check: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // a part of the reason is enough
		return fmt.Errorf("-check: not ready: %s: %s", response.Status, reason)
	}
	return nil
}
