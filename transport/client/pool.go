package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
	"github.com/clusterkit/clusterkit/transport/internal/slot"
	"github.com/clusterkit/clusterkit/transport/internal/tlsfiles"
)

// Pool is the [http.RoundTripper] for requests between members. A process needs one. It
// speaks HTTP/2 to https URLs whose server supports it. Otherwise, and for requests
// that ask for an upgrade, it speaks HTTP/1.1. A request that a server has received, and
// that a proxy sends on, keeps its version of HTTP: one that came by HTTP/2 goes by
// HTTP/2 to an http URL too, if that server speaks HTTP/2 in clear. It uses no proxy, and
// ignores those in the environment. It follows no redirect, and does not decode bodies. The context of a
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
	// onlyHTTP1 are the servers that do not speak HTTP/2 in clear.
	onlyHTTP1 addresses
	slots     *slot.Slots       // the slots of the requests over HTTP/1.1
	direct    *direct.Transport // sends most of them
	closed    atomic.Bool

	mu      sync.Mutex
	made    *tlsfiles.Credentials // the credentials with which current was made
	current *[lanes]*http.Transport
	retired []*http.Transport
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
	slots := slot.New(o.MaxConnsPerHost, o.MaxUpgradesPerHost, o.MaxConnWait)
	return &Pool{options: o, tls: t, token: token, slots: slots, direct: direct.New(direct.Options{
		Dial: o.dialer().DialContext, Slots: slots, IdleTimeout: o.IdleTimeout, MaxHeaderBytes: o.MaxResponseHeaderBytes,
		MaxIdlePerHost: min(o.MaxIdleConnsPerHost, o.MaxConnsPerHost), MaxIdle: o.MaxIdleConns,
	})}, nil
}

// Direct returns the transport that sends a request without a body in the goroutine of its
// caller, or nil when the request needs another one. It is for the routers of this module:
// its type is internal.
func (p *Pool) Direct(r *http.Request) *direct.Transport {
	if p.laneOf(r) != clearHTTP1 || p.closed.Load() || p.needsToken(r) || !direct.Takes(r) {
		return nil
	}
	return p.direct
}

// RoundTrip implements [http.RoundTripper]: it sends one request, with the pool's
// token. After Close it returns [ErrClosed].
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	on := p.laneOf(r)
	t, err := p.transport(on)
	if err == nil {
		r, err = p.authorize(r)
	}
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper must close the body
		}
		return nil, err
	}
	switch on {
	case usual, upgrades:
		return t.RoundTrip(r)
	case clearHTTP1, secureHTTP1:
		if on == clearHTTP1 && direct.Takes(r) && !direct.Traced(r) {
			return p.direct.RoundTrip(r, &direct.Attempt{Context: r.Context()})
		}
		return p.slotted(t, r)
	case clearHTTP2:
	}
	first, body := r, &heldBody{}
	if r.Body != nil {
		body.ReadCloser, body.held = r.Body, true
		first = r.WithContext(r.Context())
		first.Body = body
	}
	response, err := t.RoundTrip(first)
	if errors.Is(err, errOnlyHTTP1) { // there was no connection, and nothing is read of the body
		p.onlyHTTP1.add(r.URL.Host)
		return p.RoundTrip(r)
	}
	body.release()
	return response, err
}

// CloseIdleConnections closes the connections that carry no request.
func (p *Pool) CloseIdleConnections() {
	p.direct.CloseIdle()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		for _, t := range p.current {
			t.CloseIdleConnections()
		}
	}
	p.closeRetired()
}

// Close closes the connections that carry no request, and makes later requests fail.
// Requests under way go on. When they have ended, their connections are closed by a
// further call of Close, or after IdleTimeout. Close may be called any number of times,
// and returns nil.
func (p *Pool) Close() error {
	p.closed.Store(true)
	p.direct.Close()
	p.CloseIdleConnections()
	return nil
}

// transport returns the transport of a lane for the present credentials.
func (p *Pool) transport(on lane) (*http.Transport, error) {
	now := p.tls.files.Get()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return nil, ErrClosed
	}
	if p.current == nil || p.made != now {
		if p.current != nil {
			p.retired = append(p.retired, p.current[:]...)
		}
		p.made, p.current = now, new([lanes]*http.Transport)
		for on := range lanes {
			p.current[on] = p.newTransport(now, on)
		}
		p.closeRetired()
	}
	return p.current[on], nil
}

// closeRetired closes the idle connections of transports that are not in use any more,
// and forgets the oldest of them. Connections of a forgotten transport close after
// IdleTimeout.
func (p *Pool) closeRetired() {
	for _, t := range p.retired {
		t.CloseIdleConnections()
	}
	const kept = 4 * int(lanes)
	if n := len(p.retired) - kept; n > 0 {
		p.retired = slices.Delete(p.retired, 0, n)
	}
}

// expectWithin is how long a body that is expected is held back for the server to ask for it. A
// server of net/http asks when its handler reads, which may be late.
const expectWithin = time.Minute

// dialer returns what makes the connections.
func (o PoolOptions) dialer() *net.Dialer {
	return &net.Dialer{
		Timeout: o.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: o.KeepAlive, Interval: max(o.KeepAlive/3, time.Second), Count: 3,
		},
	}
}

// newTransport makes the transport of a lane. http.Transport leaves the choice of protocol
// to DialTLSContext.
func (p *Pool) newTransport(c *tlsfiles.Credentials, on lane) *http.Transport {
	o := p.options
	most := o.MaxConnsPerHost
	switch on {
	case upgrades:
		most = o.MaxUpgradesPerHost
	case clearHTTP1, secureHTTP1: // the slots bound the requests
		most += o.MaxUpgradesPerHost
	case usual, clearHTTP2:
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(on != clearHTTP2)
	protocols.SetHTTP2(on == usual)
	protocols.SetUnencryptedHTTP2(on == clearHTTP2)
	dial := o.dialer().DialContext
	if on == clearHTTP2 {
		dial = o.dialHTTP2
	}
	return &http.Transport{
		DialContext: dial,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return p.dialTLS(ctx, network, addr, c, on)
		},
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: o.KeepAlive, PingTimeout: max(o.KeepAlive/3, time.Millisecond), WriteByteTimeout: o.KeepAlive,
		},
		DisableCompression:     true,
		IdleConnTimeout:        o.IdleTimeout,
		MaxConnsPerHost:        most,
		MaxIdleConnsPerHost:    min(o.MaxIdleConnsPerHost, o.MaxConnsPerHost),
		MaxIdleConns:           o.MaxIdleConns,
		MaxResponseHeaderBytes: o.MaxResponseHeaderBytes,
		ExpectContinueTimeout:  expectWithin,
	}
}

// dialHTTP2 opens a connection in clear to a server that speaks HTTP/2.
func (o PoolOptions) dialHTTP2(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := o.dialer().DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	http2, err := greet(ctx, conn, o.HandshakeTimeout)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return http2, nil
}

// dialTLS opens a connection, and makes the handshake of TLS. http.Transport limits the time only of
// handshakes that it makes itself.
func (p *Pool) dialTLS(ctx context.Context, network, addr string, c *tlsfiles.Credentials, on lane) (net.Conn, error) {
	conn, err := p.options.dialer().DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.HandshakeTimeout)
	defer cancel()
	config := p.tls.config(host, c)
	if on != usual {
		config.NextProtos = []string{"http/1.1"}
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
	}
	return secure, nil
}
