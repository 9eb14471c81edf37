package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ErrPoolClosed says that a [Pool] was closed.
var ErrPoolClosed = errors.New("transport: the connection pool was closed")

// PoolOptions bound the connections that a [Pool] keeps. The zero value is ready
// for use.
type PoolOptions struct {
	// TLS is for https URLs.
	TLS TLSOptions
	// DialTimeout is how long a TCP connection may take to be made, and
	// HandshakeTimeout its TLS handshake. Zero means 5 s. The bounds of all
	// durations are 1 ms to 24 h.
	DialTimeout, HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection is kept for the next request. Zero
	// means 90 s, less than the 2 min after which a [Server] closes one.
	IdleTimeout time.Duration
	// KeepAlive is how long a connection may be silent before it is probed, by
	// TCP and with a PING over HTTP/2. One that does not answer for a third of
	// that, thrice over TCP, is closed. Zero means 15 s.
	KeepAlive time.Duration
	// MaxConnsPerHost is how many connections to one host and port are open
	// at a time, those being made included: 1 to 65,536. Requests that find
	// none free wait for one, as long as their context lasts. Over HTTP/2 a
	// connection carries as many requests at a time as the server allows (a
	// [Server] 250), over HTTP/1.1 one. Zero means 64.
	MaxConnsPerHost int
	// MaxUpgradesPerHost is how many more connections to one host and port may
	// be open for requests that ask for another protocol, such as WebSocket,
	// and keep theirs for as long as that is spoken: 1 to 65,536. Zero means
	// 4,096.
	MaxUpgradesPerHost int
	// MaxIdleConnsPerHost is how many of the former are kept when idle: 1 to
	// 65,536. Zero means 16; never more than MaxConnsPerHost.
	MaxIdleConnsPerHost int
	// MaxIdleConns is how many idle connections are kept to all hosts
	// together: 1 to 1,048,576. Zero means 1,024.
	MaxIdleConns int
	// MaxResponseHeaderBytes is the longest header of an answer: 1 KiB to
	// 16 MiB. Zero means 64 KiB.
	MaxResponseHeaderBytes int64
	// Logger gets what becomes of the files in TLS. Nil means [slog.Default].
	Logger *slog.Logger
}

// Validate returns an [OptionError] for every option that is out of bounds or
// does not go with another, joined. It opens nothing.
func (o PoolOptions) Validate() error {
	o = o.withDefaults()
	const short, long = time.Millisecond, 24 * time.Hour
	return errors.Join(append(o.TLS.validate("PoolOptions.TLS."),
		within("PoolOptions.DialTimeout", o.DialTimeout, short, long),
		within("PoolOptions.HandshakeTimeout", o.HandshakeTimeout, short, long),
		within("PoolOptions.IdleTimeout", o.IdleTimeout, short, long),
		within("PoolOptions.KeepAlive", o.KeepAlive, short, long),
		within("PoolOptions.MaxConnsPerHost", o.MaxConnsPerHost, 1, 1<<16),
		within("PoolOptions.MaxUpgradesPerHost", o.MaxUpgradesPerHost, 1, 1<<16),
		within("PoolOptions.MaxIdleConnsPerHost", o.MaxIdleConnsPerHost, 1, 1<<16),
		within("PoolOptions.MaxIdleConns", o.MaxIdleConns, 1, 1<<20),
		within("PoolOptions.MaxResponseHeaderBytes", o.MaxResponseHeaderBytes, 1<<10, 16<<20),
	)...)
}

func (o PoolOptions) withDefaults() PoolOptions {
	o.DialTimeout = orDefault(o.DialTimeout, 5*time.Second)
	o.HandshakeTimeout = orDefault(o.HandshakeTimeout, 5*time.Second)
	o.IdleTimeout = orDefault(o.IdleTimeout, 90*time.Second)
	o.KeepAlive = orDefault(o.KeepAlive, 15*time.Second)
	o.MaxConnsPerHost = orDefault(o.MaxConnsPerHost, 64)
	o.MaxUpgradesPerHost = orDefault(o.MaxUpgradesPerHost, 4096)
	o.MaxIdleConnsPerHost = orDefault(o.MaxIdleConnsPerHost, 16)
	o.MaxIdleConns = orDefault(o.MaxIdleConns, 1024)
	o.MaxResponseHeaderBytes = orDefault(o.MaxResponseHeaderBytes, 64<<10)
	o.Logger = orDefault(o.Logger, slog.Default())
	return o
}

// Pool is the [http.RoundTripper] that members talk to each other through: one
// for a process. It speaks HTTP/2 to https URLs whose server can, and HTTP/1.1
// otherwise and where a request asks for an upgrade. It uses no proxy, whatever the environment says, follows no
// redirect, and leaves encodings of bodies as they are. How long a request may
// take is its context's affair.
//
// When the files of its TLS change, new requests go over new connections, while
// the old ones finish what they carry. Until then there may be twice
// MaxConnsPerHost. All methods are safe for concurrent use.
type Pool struct {
	options PoolOptions
	tls     *clientTLS

	mu       sync.Mutex
	closed   bool
	made     *credentials // what the next two were made for
	current  *http.Transport
	upgrades *http.Transport
	retired  []*http.Transport
}

// NewPool returns a pool without connections. It reads the files of TLS. The
// error is that of [PoolOptions.Validate], or says which file cannot be used.
func NewPool(o PoolOptions) (*Pool, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	t, err := newClientTLS(o.TLS, o.Logger)
	if err != nil {
		return nil, err
	}
	return &Pool{options: o, tls: t}, nil
}

// RoundTrip sends one request, as [http.RoundTripper] says. After Close it
// returns [ErrPoolClosed].
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := p.transport(isUpgrade(r))
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // which a RoundTripper owes
		}
		return nil, err
	}
	return t.RoundTrip(r)
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

// Close closes the connections that carry no request, and has later requests
// refused. Those under way go on; when they have ended, a further call closes
// their connections at once, or the idle timeout does. It may be called any
// number of times and returns nil.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.CloseIdleConnections()
	return nil
}

// transport returns the one made for the credentials now in force.
func (p *Pool) transport(upgrade bool) (*http.Transport, error) {
	now := p.tls.files.get()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrPoolClosed
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

// closeRetired closes what is idle by now of the transports no longer in use, and
// forgets the oldest: what they still carry goes when it has been idle.
func (p *Pool) closeRetired() {
	for _, t := range p.retired {
		t.CloseIdleConnections()
	}
	const kept = 8
	if n := len(p.retired) - kept; n > 0 {
		p.retired = slices.Delete(p.retired, 0, n)
	}
}

// newTransport makes one for upgrades or for everything else. HTTP/2 has no
// upgrades, and http.Transport leaves the choice of protocol to DialTLSContext.
func (p *Pool) newTransport(c *credentials, upgrades bool) *http.Transport {
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
			// http.Transport bounds the handshakes that it makes itself.
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
