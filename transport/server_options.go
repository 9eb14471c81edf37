package transport

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
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
	TLS client.TLSOptions
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

// Validate returns an [option.Error] for every option that is out of bounds or
// does not go with another, joined. It opens nothing.
func (o ServerOptions) Validate() error {
	o = o.withDefaults()
	const short, long = time.Millisecond, 24 * time.Hour
	return errors.Join(
		option.Under("TLS", validateTLS(o.TLS)),
		bound.Within("ReadHeaderTimeout", o.ReadHeaderTimeout, short, long),
		bound.Within("ReadTimeout", o.ReadTimeout, short, long),
		bound.Within("WriteTimeout", o.WriteTimeout, short, long),
		bound.Within("IdleTimeout", o.IdleTimeout, short, long),
		bound.Within("MaxHeaderBytes", o.MaxHeaderBytes, 1<<10, 1<<20),
		bound.Within("MaxConnections", o.MaxConnections, 1, 1<<20),
		bound.Within("MaxConnectionsPerClient", o.MaxConnectionsPerClient, 1, 1<<20),
	)
}

func (o ServerOptions) withDefaults() ServerOptions {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.ReadHeaderTimeout = cmp.Or(o.ReadHeaderTimeout, 5*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 30*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Minute)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, 16<<10)
	o.MaxConnections = cmp.Or(o.MaxConnections, 4096)
	o.MaxConnectionsPerClient = cmp.Or(o.MaxConnectionsPerClient, max(1, o.MaxConnections/4))
	return o
}
