package transport

import (
	"errors"
	"log/slog"
	"time"
)

// ServerOptions bound what callers can cost a [Server]. The zero value is ready
// for use; no bound can be switched off.
type ServerOptions struct {
	// Logger gets what net/http has to say, at warn and at most 5 lines a
	// second, then with the number of those dropped; an unexpected end of
	// serving, at error; and what becomes of the files in TLS. Nil means
	// [slog.Default].
	Logger *slog.Logger
	// TLS encrypts connections. Its zero value serves in clear.
	TLS TLSOptions
	// ReadHeaderTimeout is how long a request's header may take to arrive,
	// and a TLS handshake. Zero means 5 s. The bounds of all timeouts are 1 ms to 24 h.
	ReadHeaderTimeout time.Duration
	// ReadTimeout is how long a whole request may take to arrive, its header
	// included. Zero means 30 s.
	ReadTimeout time.Duration
	// WriteTimeout is how long a request may take from the end of its header
	// to the end of the answer, body and work included. Zero means 60 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection is kept for its next request.
	// Zero means 2 min, more than the 90 s after which Go's clients close
	// one, so that no request meets a connection being closed.
	IdleTimeout time.Duration
	// MaxHeaderBytes is the longest request header, its first line
	// included, to which net/http adds 4 KiB: 1 KiB to 1 MiB. Zero means
	// 16 KiB.
	MaxHeaderBytes int
	// MaxConnections is how many connections are open at a time, idle ones
	// included: 1 to 1,048,576. The next wait, unaccepted, for one to close.
	// Zero means 4,096.
	MaxConnections int
	// MaxConnectionsPerClient is how many of them one client may have, known
	// by its IPv4 address or its IPv6 network of 64 bits, whatever headers
	// say: 1 to 1,048,576. Further ones are closed at once. Zero means a
	// quarter of MaxConnections; behind a proxy it may have to be more.
	MaxConnectionsPerClient int
}

// Validate returns an [OptionError] for every option that is out of bounds or
// does not go with another, joined. It opens nothing.
func (o ServerOptions) Validate() error {
	o = o.withDefaults()
	const short, long = time.Millisecond, 24 * time.Hour
	return errors.Join(append(o.TLS.validateServer("ServerOptions.TLS."),
		within("ServerOptions.ReadHeaderTimeout", o.ReadHeaderTimeout, short, long),
		within("ServerOptions.ReadTimeout", o.ReadTimeout, short, long),
		within("ServerOptions.WriteTimeout", o.WriteTimeout, short, long),
		within("ServerOptions.IdleTimeout", o.IdleTimeout, short, long),
		within("ServerOptions.MaxHeaderBytes", o.MaxHeaderBytes, 1<<10, 1<<20),
		within("ServerOptions.MaxConnections", o.MaxConnections, 1, 1<<20),
		within("ServerOptions.MaxConnectionsPerClient", o.MaxConnectionsPerClient, 1, 1<<20),
	)...)
}

func (o ServerOptions) withDefaults() ServerOptions {
	o.Logger = orDefault(o.Logger, slog.Default())
	o.ReadHeaderTimeout = orDefault(o.ReadHeaderTimeout, 5*time.Second)
	o.ReadTimeout = orDefault(o.ReadTimeout, 30*time.Second)
	o.WriteTimeout = orDefault(o.WriteTimeout, time.Minute)
	o.IdleTimeout = orDefault(o.IdleTimeout, 2*time.Minute)
	o.MaxHeaderBytes = orDefault(o.MaxHeaderBytes, 16<<10)
	o.MaxConnections = orDefault(o.MaxConnections, 4096)
	o.MaxConnectionsPerClient = orDefault(o.MaxConnectionsPerClient, max(1, o.MaxConnections/4))
	return o
}
