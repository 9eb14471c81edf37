package client

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
)

// PoolOptions bound the connections that a [Pool] keeps. The zero value is ready
// for use.
type PoolOptions struct {
	// TLS is for https URLs.
	TLS TLSOptions
	// Token returns the bearer token that is sent with every request, but for
	// requests that have an Authorization header and requests that a router
	// forwards. It is called for each of them, concurrently, so that it may return
	// another token later. TokenFile names a file that holds the token instead: its
	// first word that is not a scope, so that a server's token file serves. The file
	// is read again when it changes, at most once a second. At most one of the two;
	// with none, no token is sent.
	//
	// Token is a function because printers print of a function only where it is: the
	// token stands in no log.
	Token     func() string `json:"-"`
	TokenFile string
	// TokensInClear says that the token may be sent to an http URL whose host is
	// not a loopback address. Otherwise such requests fail and are not sent.
	TokensInClear bool
	// DialTimeout is how long a TCP connection may take to be made, and
	// HandshakeTimeout its TLS handshake. Zero means 5 s. The bounds of all
	// durations are 1 ms to 24 h.
	DialTimeout, HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection is kept for the next request. Zero
	// means 90 s, less than the 2 min after which a member's server closes one.
	IdleTimeout time.Duration
	// KeepAlive is how long a connection may be silent before it is probed, by
	// TCP and with a PING over HTTP/2. One that does not answer for a third of
	// that, thrice over TCP, is closed. Zero means 15 s.
	KeepAlive time.Duration
	// MaxConnsPerHost is how many connections to one host and port are open
	// at a time, those being made included: 1 to 65,536. Requests that find
	// none free wait for one, as long as their context lasts. Over HTTP/2 a
	// connection carries as many requests at a time as the server allows (a
	// member's server 250), over HTTP/1.1 one. Zero means 64.
	MaxConnsPerHost int
	// MaxUpgradesPerHost is how many more connections to one host and port may
	// be open for requests that ask for another protocol, such as WebSocket, or over
	// HTTP/1.1 for text/event-stream, and keep theirs for as long as that is spoken:
	// 1 to 65,536. Zero means 4,096.
	MaxUpgradesPerHost int
	// MaxIdleConnsPerHost is how many connections to one host and port, other than
	// upgraded ones, are kept when idle: 1 to 65,536. Zero means 16; never more than MaxConnsPerHost.
	MaxIdleConnsPerHost int
	// MaxIdleConns is how many idle connections are kept to all hosts
	// together: 1 to 1,048,576. Zero means 1,024.
	MaxIdleConns int
	// MaxResponseHeaderBytes is the longest header of an answer: 1 KiB to
	// 16 MiB. Zero means 1 MiB, as much as net/http takes in a request.
	MaxResponseHeaderBytes int64
	// Logger gets what becomes of TokenFile and of the files in TLS. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// validate returns an [option.Error] for every option that is out of bounds or does
// not go with another, joined; never with the token in it. It opens nothing.
func (o PoolOptions) validate() error {
	o = o.withDefaults()
	const short, long = time.Millisecond, 24 * time.Hour
	return errors.Join(
		option.Under("TLS", o.TLS.Validate()),
		o.validateToken(),
		bound.Within("DialTimeout", o.DialTimeout, short, long),
		bound.Within("HandshakeTimeout", o.HandshakeTimeout, short, long),
		bound.Within("IdleTimeout", o.IdleTimeout, short, long),
		bound.Within("KeepAlive", o.KeepAlive, short, long),
		bound.Within("MaxConnsPerHost", o.MaxConnsPerHost, 1, 1<<16),
		bound.Within("MaxUpgradesPerHost", o.MaxUpgradesPerHost, 1, 1<<16),
		bound.Within("MaxIdleConnsPerHost", o.MaxIdleConnsPerHost, 1, 1<<16),
		bound.Within("MaxIdleConns", o.MaxIdleConns, 1, 1<<20),
		bound.Within("MaxResponseHeaderBytes", o.MaxResponseHeaderBytes, 1<<10, 16<<20),
	)
}

func (o PoolOptions) withDefaults() PoolOptions {
	o.DialTimeout = cmp.Or(o.DialTimeout, 5*time.Second)
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 5*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 90*time.Second)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.MaxConnsPerHost = cmp.Or(o.MaxConnsPerHost, 64)
	o.MaxUpgradesPerHost = cmp.Or(o.MaxUpgradesPerHost, 4096)
	o.MaxIdleConnsPerHost = cmp.Or(o.MaxIdleConnsPerHost, 16)
	o.MaxIdleConns = cmp.Or(o.MaxIdleConns, 1024)
	o.MaxResponseHeaderBytes = cmp.Or(o.MaxResponseHeaderBytes, 1<<20)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}
