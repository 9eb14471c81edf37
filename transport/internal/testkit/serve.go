package testkit

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
)

// Soon is how long a test waits for an event that should come at once.
const Soon = 10 * time.Second

// Serve runs a server for one test, with its own client.
func Serve(t *testing.T, h http.Handler, o transport.ServerOptions) (*transport.Server, *http.Client) {
	t.Helper()
	o.Logger = Quiet()
	srv, err := transport.Listen("127.0.0.1:0", h, o)
	require.NoError(t, err)
	pool := &http.Transport{}
	t.Cleanup(func() {
		pool.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), Soon)
		defer cancel()
		require.NoError(t, srv.Shutdown(ctx))
	})
	return srv, &http.Client{Transport: pool, Timeout: Soon}
}

// Dial opens a connection with a deadline, so that a test that waits on it too long
// fails.
func Dial(t *testing.T, srv *transport.Server) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: Soon}).DialContext(t.Context(), "tcp", srv.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(Soon)))
	return conn
}

// Gate is a handler that reports each request on a channel and then waits.
type Gate struct{ Entered, Leave chan struct{} }

// NewGate returns a closed gate.
func NewGate() *Gate { return &Gate{make(chan struct{}, 10), make(chan struct{})} }

// ServeHTTP waits until Leave is closed.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.Entered <- struct{}{}
	select {
	case <-g.Leave:
		_, _ = io.WriteString(w, "done")
	case <-r.Context().Done():
	}
}

// Discard returns a writer that does nothing, so that a benchmark measures the handler
// alone.
func Discard() http.ResponseWriter { return &discard{http.Header{}} }

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
