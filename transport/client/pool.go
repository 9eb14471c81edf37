package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/tlsfiles"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Pool is the [http.RoundTripper] for requests between members. A process needs one. It
// speaks HTTP/2 to https URLs whose server supports it. Otherwise, and for requests
// that ask for an upgrade, it speaks HTTP/1.1. It uses no proxy, also not one of the
// environment. It follows no redirect, and does not decode bodies. The context of a
// request limits its time.
//
// A service calls its internal routes on other members with a pool that has a token,
// where a guard asks for the token:
//
//	pool, err := client.NewPool(client.PoolOptions{TokenFile: "/etc/orders/tokens"})
//	if err != nil {
//		return err
//	}
//	defer pool.Close()
//	members := http.Client{Transport: pool}
//	resp, err := members.Get("https://orders-2:8443/internal/partitions/17")
//
// A router forwards requests of clients through the pool. The pool never adds its token
// to these.
//
// When the files of its TLS change, new requests go over new connections, while the old
// connections finish their requests. Until then there may be twice MaxConnsPerHost
// connections. All methods are safe for concurrent use.
type Pool struct {
	options PoolOptions
	tls     *clientTLS
	token   func() string // nil without a token

	mu       sync.Mutex
	closed   bool
	made     *tlsfiles.Credentials // the credentials with which the next two were made
	current  *http.Transport
	upgrades *http.Transport
	retired  []*http.Transport
}

// NewPool returns a pool without connections. It reads the files of its options. The
// error joins an [option.Error] for every option that is out of bounds or does not go
// with another, or says which file cannot be used.
func NewPool(o PoolOptions) (*Pool, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("client: options of the pool: %w", err)
	}
	o = o.withDefaults()
	t, err := newClientTLS(o.TLS, o.Logger)
	if err != nil {
		return nil, err
	}
	token, err := o.tokenSource()
	if err != nil {
		return nil, err
	}
	return &Pool{options: o, tls: t, token: token}, nil
}

// RoundTrip implements [http.RoundTripper]: it sends one request, with the pool's
// token. After Close it returns [ErrClosed].
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := p.transport(wire.IsUpgrade(r) || r.URL.Scheme == "http" && isEventStream(r))
	if err == nil {
		r, err = p.authorize(r)
	}
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper must close the body
		}
		return nil, err
	}
	return t.RoundTrip(r)
}

// isEventStream reports whether a request asks for server-sent events. Over HTTP/1.1 its
// answer keeps a connection for as long as the caller listens.
func isEventStream(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Accept"], func(value string) bool { return strings.Contains(value, "text/event-stream") })
}

// CloseIdleConnections closes the connections that carry no request.
func (p *Pool) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.CloseIdleConnections()
		p.upgrades.CloseIdleConnections()
	}
	p.closeRetired()
}

// Close closes the connections that carry no request, and makes later requests fail.
// Requests under way go on. When they have ended, their connections are closed by a
// further call of Close, or after IdleTimeout. Close may be called any number of times,
// and returns nil.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.CloseIdleConnections()
	return nil
}

// transport returns the transport for the present credentials.
func (p *Pool) transport(upgrade bool) (*http.Transport, error) {
	now := p.tls.files.Get()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if p.current == nil || p.made != now {
		if p.current != nil {
			p.retired = append(p.retired, p.current, p.upgrades)
		}
		p.made, p.current, p.upgrades = now, p.newTransport(now, false), p.newTransport(now, true)
		p.closeRetired()
	}
	if upgrade {
		return p.upgrades, nil
	}
	return p.current, nil
}

// closeRetired closes the idle connections of transports that are not in use any more,
// and forgets the oldest of them. Connections of a forgotten transport close after
// IdleTimeout.
func (p *Pool) closeRetired() {
	for _, t := range p.retired {
		t.CloseIdleConnections()
	}
	const kept = 8
	if n := len(p.retired) - kept; n > 0 {
		p.retired = slices.Delete(p.retired, 0, n)
	}
}

// newTransport makes one for upgrades and event streams, or for everything else. HTTP/2 has no
// upgrades, and http.Transport leaves the choice of protocol to DialTLSContext.
func (p *Pool) newTransport(c *tlsfiles.Credentials, upgrades bool) *http.Transport {
	o := p.options
	most := o.MaxConnsPerHost
	if upgrades {
		most = o.MaxUpgradesPerHost
	}
	dialer := &net.Dialer{
		Timeout: o.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: o.KeepAlive, Interval: max(o.KeepAlive/3, time.Second), Count: 3,
		},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!upgrades)
	return &http.Transport{
		DialContext: dialer.DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				_ = conn.Close()
				return nil, err
			}
			// http.Transport limits the time only of handshakes that it makes itself.
			ctx, cancel := context.WithTimeout(ctx, o.HandshakeTimeout)
			defer cancel()
			config := p.tls.config(host, c)
			if upgrades {
				config.NextProtos = []string{"http/1.1"}
			}
			secure := tls.Client(conn, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
			}
			return secure, nil
		},
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: o.KeepAlive, PingTimeout: max(o.KeepAlive/3, time.Millisecond), WriteByteTimeout: o.KeepAlive,
		},
		DisableCompression:     true,
		IdleConnTimeout:        o.IdleTimeout,
		MaxConnsPerHost:        most,
		MaxIdleConnsPerHost:    min(o.MaxIdleConnsPerHost, most),
		MaxIdleConns:           o.MaxIdleConns,
		MaxResponseHeaderBytes: o.MaxResponseHeaderBytes,
		ExpectContinueTimeout:  time.Second,
	}
}
