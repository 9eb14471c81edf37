package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
)

// soon is how long something may take that should not take long.
const soon = 10 * time.Second

// serve runs a server for one test, with a client of its own.
func serve(t *testing.T, h http.Handler, o transport.ServerOptions) (*transport.Server, *http.Client) {
	t.Helper()
	o.Logger = quiet()
	srv, err := transport.Listen("127.0.0.1:0", h, o)
	require.NoError(t, err)
	pool := &http.Transport{}
	t.Cleanup(func() {
		pool.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		require.NoError(t, srv.Shutdown(ctx))
	})
	return srv, &http.Client{Transport: pool, Timeout: soon}
}

func get(t *testing.T, client *http.Client, srv *transport.Server, path string) string {
	t.Helper()
	r, err := client.Get("http://" + srv.Addr().String() + path)
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return string(body)
}

// dial opens a connection that fails every test waiting too long on it.
func dial(t *testing.T, srv *transport.Server) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", srv.Addr().String(), soon)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	return conn
}

// gate is a handler whose requests announce themselves and then wait.
type gate struct{ entered, leave chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 10), make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.entered <- struct{}{}
	select {
	case <-g.leave:
		_, _ = io.WriteString(w, "done")
	case <-r.Context().Done():
	}
}

func TestListenReportsWhatCannotWork(t *testing.T) {
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	_, err := transport.Listen(srv.Addr().String(), newHandler(newFake(t)), transport.ServerOptions{})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, fmt.Sprintf("transport: listening on %q", srv.Addr()))
	_, err = transport.Listen("127.0.0.1:http-but-not-quite", newHandler(newFake(t)), transport.ServerOptions{})
	require.Error(t, err)
	_, err = transport.Listen("127.0.0.1:0", nil, transport.ServerOptions{})
	require.EqualError(t, err, "transport: Listen: the handler is nil: must be set")
}

func TestShutdownDrains(t *testing.T) {
	g := newGate()
	srv, client := serve(t, g, transport.ServerOptions{})
	type result struct {
		body string
		err  error
	}
	answered := make(chan result, 1)
	go func() {
		r, err := client.Get("http://" + srv.Addr().String() + "/")
		if err != nil {
			answered <- result{err: err}
			return
		}
		body, err := io.ReadAll(r.Body)
		answered <- result{string(body), errors.Join(err, r.Body.Close())}
	}()
	<-g.entered
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(t.Context()) }()
	<-srv.Done()
	_, err := net.DialTimeout("tcp", srv.Addr().String(), soon)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	select {
	case err := <-stopped:
		require.Fail(t, "Shutdown returned while a request was in flight", err)
	default:
	}
	close(g.leave)
	require.Equal(t, result{body: "done"}, <-answered)
	require.NoError(t, <-stopped)
	require.NoError(t, srv.Err())
}

func TestShutdownClosesWhatDoesNotDrain(t *testing.T) {
	g := newGate()
	srv, _ := serve(t, g, transport.ServerOptions{MaxConnections: 1}) // Accept waits for a slot
	conn := dial(t, srv)
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-g.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, srv.Shutdown(ctx), context.Canceled)
	<-srv.Done()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, srv.Shutdown(t.Context()), "nothing is left to wait for")
}

func TestShutdownFromManyGoroutines(t *testing.T) {
	srv, client := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	require.NoError(t, srv.Err())
	require.Equal(t, "ok\n", get(t, client, srv, "/livez"))
	var wg sync.WaitGroup
	errs := make(chan error, 10)
	for range cap(errs) {
		wg.Go(func() { errs <- srv.Shutdown(t.Context()) })
	}
	wg.Wait()
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.NoError(t, srv.Err())
}

func TestShutdownRightAfterListen(t *testing.T) {
	for range 50 {
		srv, err := transport.Listen("127.0.0.1:0", newHandler(newFake(t)), transport.ServerOptions{Logger: quiet()})
		require.NoError(t, err)
		require.NoError(t, srv.Shutdown(t.Context()))
		select {
		case <-srv.Done():
		default:
			require.Fail(t, "Shutdown returned before the serving goroutine ended")
		}
		_, err = net.DialTimeout("tcp", srv.Addr().String(), soon)
		require.Error(t, err)
	}
}

// TestASlowClientBlocksNobody has one that never ends its header and one that
// never ends its body.
func TestASlowClientBlocksNobody(t *testing.T) {
	srv, client := serve(t, newHandler(newFake(t)), transport.ServerOptions{ReadHeaderTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond})
	header, body := dial(t, srv), dial(t, srv)
	_, err := io.WriteString(header, "GET /livez HTTP/1.1\r\nHos")
	require.NoError(t, err)
	_, err = io.WriteString(body, "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.Equal(t, "ok\n", get(t, client, srv, "/livez"))
	_, err = io.ReadAll(header)
	require.NoError(t, err, "closed by the server, not by the test's deadline")
	r, err := http.ReadResponse(bufio.NewReader(body), nil)
	require.NoError(t, err)
	require.Equal(t, 408, r.StatusCode)
	require.True(t, r.Close)
	require.NoError(t, r.Body.Close())
}

func TestTheHeaderIsBounded(t *testing.T) {
	srv, client := serve(t, newHandler(newFake(t)), transport.ServerOptions{MaxHeaderBytes: 1 << 10})
	for _, path := range []string{"/livez?" + strings.Repeat("x", 8<<10), "/" + strings.Repeat("x", 8<<10)} {
		r, err := client.Get("http://" + srv.Addr().String() + path)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, 431, r.StatusCode)
	}
}

// TestTheLongestKeyFitsTheHeader: every byte escaped, with default options.
func TestTheLongestKeyFitsTheHeader(t *testing.T) {
	srv, client := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	require.Contains(t, get(t, client, srv, "/v1/lookup?key="+strings.Repeat("%41", transport.MaxKeyBytes)), `"partition"`)
}

func TestConnectionsAreBounded(t *testing.T) {
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{MaxConnections: 1, MaxConnectionsPerClient: 2})
	ask := func(conn net.Conn) {
		_, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
	}
	first, second := dial(t, srv), dial(t, srv)
	ask(first)
	r, err := http.ReadResponse(bufio.NewReader(first), nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	ask(second)
	require.NoError(t, second.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = second.Read(make([]byte, 1))
	require.ErrorContains(t, err, "timeout", "the second waits while the first is open, idle or not")
	require.NoError(t, first.Close())
	require.NoError(t, second.SetReadDeadline(time.Now().Add(soon)))
	r, err = http.ReadResponse(bufio.NewReader(second), nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 200, r.StatusCode)
	require.NoError(t, second.Close())
}

// TestAClientHasNoMoreThanItsShare of the connections, and its places are free
// again when it goes.
func TestAClientHasNoMoreThanItsShare(t *testing.T) {
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{MaxConnections: 8, MaxConnectionsPerClient: 2})
	from := func(ip string) net.Conn {
		dialer := net.Dialer{Timeout: soon, LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		conn, err := dialer.Dial("tcp", srv.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
		return conn
	}
	served := func(conn net.Conn) bool {
		_, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		if err != nil {
			return false
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			return false
		}
		return r.Body.Close() == nil
	}
	greedy := []net.Conn{from("127.0.0.2"), from("127.0.0.2")}
	require.True(t, served(greedy[0]))
	require.True(t, served(greedy[1]))
	for range 20 {
		require.False(t, served(from("127.0.0.2")))
	}
	require.True(t, served(from("127.0.0.3")), "another client is served")
	require.NoError(t, greedy[0].Close())
	require.Eventually(t, func() bool { return served(from("127.0.0.2")) }, soon, time.Millisecond)
	require.LessOrEqual(t, srv.Connections(), 5)
}

// TestOddRequestLines come as a client library would not send them.
func TestOddRequestLines(t *testing.T) {
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	for line, status := range map[string]int{
		"OPTIONS * HTTP/1.1":                               404,
		"GET * HTTP/1.1":                                   404,
		"CONNECT /v1/ring HTTP/1.1":                        405,
		"CONNECT example.org:80 HTTP/1.1":                  404,
		"GET http://example.org/livez HTTP/1.1":            200,
		"GET /v1/partitions/../members HTTP/1.1":           404,
		"GET /v1/partitions/..%2fmembers HTTP/1.1":         400,
		"GET /v1/%70artitions/1 HTTP/1.1":                  200,
		"GET /livez\x00 HTTP/1.1":                          400,
		"GET /" + strings.Repeat("a/", 5000) + " HTTP/1.1": 404,
	} {
		conn := dial(t, srv)
		_, err := io.WriteString(conn, line+"\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, line)
		require.NoError(t, r.Body.Close())
		require.Equal(t, status, r.StatusCode, line)
		require.NoError(t, conn.Close())
	}
}
