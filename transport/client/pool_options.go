package client

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
)

// PoolOptions configure the credentials and the connections of a [Pool]. The zero value
// is usable.
type PoolOptions struct {
	// TLS configures connections to https URLs.
	TLS TLSOptions
	// Token returns the bearer token that is sent with every request, except requests
	// that have an Authorization header, requests that a router forwards, and those of
	// an [http.Client] that has followed a redirect to another host. It is
	// called for each request, concurrently, so it may return another token later.
	// TokenFile names a file that holds the token instead. The token is the first word
	// in the file that is not a scope, so a server's token file can be used. The file
	// is read again when it changes, at most once a second. At most one of Token and
	// TokenFile may be set. Without them no token is sent.
	//
	// Token is a function so that the token appears in no log: of a function only its
	// address is printed.
	Token     func() string `json:"-"`
	TokenFile string
	// TokensInClear allows sending the token to an http URL whose host is not a
	// loopback address. Without it such requests fail and are not sent.
	TokensInClear bool
	// DialTimeout limits the time to make a TCP connection, and HandshakeTimeout that
	// of its TLS handshake. Zero means 5 s. The bounds of all durations are 1 ms to 24
	// h.
	DialTimeout, HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection is kept for the next request. Zero
	// means 90 s, less than the 2 min after which a member's server closes one.
	IdleTimeout time.Duration
	// KeepAlive is how long a connection may be silent before it is probed, by TCP, and
	// with a PING over HTTP/2. A connection is closed when a probe has no answer for a
	// third of that time; over TCP, when three probes in a row have none. Zero means 15
	// s.
	KeepAlive time.Duration
	// MaxConnsPerHost is the largest number of connections to one host and port at a
	// time, with those being made: 1 to 65,536. Over HTTP/2 a connection carries as many
	// requests at a time as the server allows (a member's server allows 250). Over HTTP/1.1
	// it carries one. Zero means 64.
	MaxConnsPerHost int
	// MaxUpgradesPerHost is how many more connections to one host and port may be open for
	// requests that keep theirs for long, so that they do not keep others off: 1 to 65,536.
	// It bounds two kinds, each for itself: requests that ask for another protocol, such as
	// WebSocket; and requests over HTTP/1.1 whose answer has begun and has no known length, as
	// that of an event stream, or which take longer than 500 ms, as a long poll. Zero means
	// 4,096.
	MaxUpgradesPerHost int
	// MaxConnWait is how long a request over HTTP/1.1 waits at most until one of these
	// connections is free, before it fails with [ErrBusy]. A request to an https URL that is not
	// forwarded waits as long as its context lasts. Zero means 1 s.
	MaxConnWait time.Duration
	// MaxIdleConnsPerHost is the largest number of idle connections to one host and port that are
	// kept, without upgraded ones: 1 to 65,536. Zero means 64. It is never more than
	// MaxConnsPerHost. With fewer, a burst of requests makes connections that are closed
	// after one request.
	MaxIdleConnsPerHost int
	// MaxIdleConns is the largest number of idle connections to all hosts together: 1
	// to 1,048,576. Zero means 1,024.
	MaxIdleConns int
	// MaxResponseHeaderBytes is the longest header of an answer: 1 KiB to
	// 16 MiB. Zero means 1 MiB, as much as net/http takes in a request.
	MaxResponseHeaderBytes int64
	// Logger gets messages about TokenFile and the files in TLS. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// validate returns an [option.Error] for every option that is out of bounds or
// contradicts another one, joined. No error shows the token. It opens nothing.
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
		bound.Within("MaxConnWait", o.MaxConnWait, short, long),
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
	o.MaxConnWait = cmp.Or(o.MaxConnWait, time.Second)
	o.MaxIdleConnsPerHost = cmp.Or(o.MaxIdleConnsPerHost, 64)
	o.MaxIdleConns = cmp.Or(o.MaxIdleConns, 1024)
	o.MaxResponseHeaderBytes = cmp.Or(o.MaxResponseHeaderBytes, 1<<20)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}
