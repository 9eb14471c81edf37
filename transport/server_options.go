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

// ServerOptions limit the connections, requests and times of a [Server]. The zero value
// is usable. No limit can be switched off.
type ServerOptions struct {
	// Logger gets the log lines of net/http at level warn, at most 5 a second, with the
	// number of dropped lines. It gets an unexpected end of serving at level error, and
	// messages about the files in TLS. Nil means [slog.Default].
	Logger *slog.Logger
	// TLS encrypts connections. Its zero value serves in clear text.
	TLS client.TLSOptions
	// ReadHeaderTimeout limits the time for the header of a request to arrive, and the
	// time of a TLS handshake. Zero means 5 s. The bounds of all timeouts are 1 ms to
	// 24 h.
	ReadHeaderTimeout time.Duration
	// ReadTimeout limits the time for a whole request to arrive, with its header. Zero
	// means 30 s.
	ReadTimeout time.Duration
	// WriteTimeout limits the time from the end of the request's header to the end of
	// the answer, with reading the body and running the handler. Zero means 60 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection is kept for its next request. Zero means 2
	// min. This is more than the 90 s after which Go's clients close a connection, so
	// that no request is sent on a connection that the server is closing.
	IdleTimeout time.Duration
	// MaxHeaderBytes is the size of the longest request header, with its first line: 1
	// KiB to 1 MiB. net/http accepts 4 KiB more. Zero means 16 KiB.
	MaxHeaderBytes int
	// MaxConnections is the largest number of open connections, with idle ones: 1 to
	// 1,048,576. Further connections are not accepted until one closes. Zero means
	// 4,096.
	MaxConnections int
	// MaxConnectionsPerClient is the largest number of open connections of one client:
	// 1 to 1,048,576. A client is the IPv4 address or the IPv6 network of 64 bits of
	// the connection; headers are ignored. Further connections of the client are closed
	// at once. Zero means a quarter of MaxConnections. Behind a proxy more may be
	// necessary.
	MaxConnectionsPerClient int
}

// Validate returns an [option.Error] for every option that is out of bounds or
// contradicts another one, joined. It opens nothing.
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
