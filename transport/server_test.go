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
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func get(t *testing.T, client *http.Client, srv *transport.Server, path string) string {
	t.Helper()
	r, err := client.Get("http://" + srv.Addr().String() + path)
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return string(body)
}

func TestListenErrors(t *testing.T) {
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	_, err := transport.Listen(srv.Addr().String(), testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, fmt.Sprintf("transport: listening on %q", srv.Addr()))
	_, err = transport.Listen("127.0.0.1:http-but-not-quite", testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	require.Error(t, err)
	_, err = transport.Listen("127.0.0.1:0", nil, transport.ServerOptions{})
	require.EqualError(t, err, "transport: Listen: the handler is nil: must be set")
}

// TestServeOnAListener of the caller, of any kind.
func TestServeOnAListener(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	_, err := transport.Serve(nil, h, transport.ServerOptions{})
	require.EqualError(t, err, "transport: Serve: the listener is nil: must be set")
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	_, err = transport.Serve(l, nil, transport.ServerOptions{})
	require.EqualError(t, err, "transport: Serve: the handler is nil: must be set")
	srv, err := transport.Serve(l, h, transport.ServerOptions{Logger: testkit.Quiet(), MaxConnections: 2, MaxConnectionsPerClient: 1})
	require.NoError(t, err)
	pool := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", l.Addr().String())
	}}
	for range 2 {
		r, err := (&http.Client{Transport: pool}).Get("http://member/livez")
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, 200, r.StatusCode)
	}
	pool.CloseIdleConnections()
	require.NoError(t, srv.Shutdown(t.Context()))
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed, "it is the server's to close")
}

func TestShutdownDrains(t *testing.T) {
	g := testkit.NewGate()
	srv, client := testkit.Serve(t, g, transport.ServerOptions{})
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
	<-g.Entered
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(t.Context()) }()
	<-srv.Done()
	_, err := net.DialTimeout("tcp", srv.Addr().String(), testkit.Soon)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	select {
	case err := <-stopped:
		require.Fail(t, "Shutdown returned while a request was in flight", err)
	default:
	}
	close(g.Leave)
	require.Equal(t, result{body: "done"}, <-answered)
	require.NoError(t, <-stopped)
	require.NoError(t, srv.Err())
}

func TestShutdownClosesRequestsThatDoNotEnd(t *testing.T) {
	g := testkit.NewGate()
	srv, _ := testkit.Serve(t, g, transport.ServerOptions{MaxConnections: 1}) // Accept waits for a slot
	conn := testkit.Dial(t, srv)
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-g.Entered
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
	srv, client := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
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
		srv, err := transport.Listen("127.0.0.1:0", testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{Logger: testkit.Quiet()})
		require.NoError(t, err)
		require.NoError(t, srv.Shutdown(t.Context()))
		select {
		case <-srv.Done():
		default:
			require.Fail(t, "Shutdown returned before the serving goroutine ended")
		}
		_, err = net.DialTimeout("tcp", srv.Addr().String(), testkit.Soon)
		require.Error(t, err)
	}
}

// TestASlowClientBlocksNoOther has one client that never ends its header, and one that
// never ends its body.
func TestASlowClientBlocksNoOther(t *testing.T) {
	srv, client := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{ReadHeaderTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond})
	header, body := testkit.Dial(t, srv), testkit.Dial(t, srv)
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
	srv, client := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{MaxHeaderBytes: 1 << 10})
	for _, path := range []string{"/livez?" + strings.Repeat("x", 8<<10), "/" + strings.Repeat("x", 8<<10)} {
		r, err := client.Get("http://" + srv.Addr().String() + path)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, 431, r.StatusCode)
	}
}

// TestTheLongestKeyFitsTheHeader: every byte escaped, with default options.
func TestTheLongestKeyFitsTheHeader(t *testing.T) {
	srv, client := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	require.Contains(t, get(t, client, srv, "/v1/lookup?key="+strings.Repeat("%41", api.MaxKeyBytes)), `"partition"`)
}

func TestConnectionsAreBounded(t *testing.T) {
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{MaxConnections: 1, MaxConnectionsPerClient: 2})
	ask := func(conn net.Conn) {
		_, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
	}
	first, second := testkit.Dial(t, srv), testkit.Dial(t, srv)
	ask(first)
	r, err := http.ReadResponse(bufio.NewReader(first), nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	ask(second)
	require.NoError(t, second.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = second.Read(make([]byte, 1))
	require.ErrorContains(t, err, "timeout", "the second waits while the first is open, idle or not")
	require.NoError(t, first.Close())
	require.NoError(t, second.SetReadDeadline(time.Now().Add(testkit.Soon)))
	r, err = http.ReadResponse(bufio.NewReader(second), nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 200, r.StatusCode)
	require.NoError(t, second.Close())
}

// TestAClientHasNoMoreThanItsShare of the connections, and its slots are free again
// when its connections close.
func TestAClientHasNoMoreThanItsShare(t *testing.T) {
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{MaxConnections: 8, MaxConnectionsPerClient: 2})
	from := func(ip string) net.Conn {
		dialer := net.Dialer{Timeout: testkit.Soon, LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		conn, err := dialer.Dial("tcp", srv.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Soon)))
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
	require.Eventually(t, func() bool { return served(from("127.0.0.2")) }, testkit.Soon, time.Millisecond)
	require.LessOrEqual(t, transport.Connections(srv), 5)
}

// TestOddRequestLines sends request lines that no client library would send.
func TestOddRequestLines(t *testing.T) {
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
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
		conn := testkit.Dial(t, srv)
		_, err := io.WriteString(conn, line+"\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, line)
		require.NoError(t, r.Body.Close())
		require.Equal(t, status, r.StatusCode, line)
		require.NoError(t, conn.Close())
	}
}

// The kernel keeps few bytes of an answer that its client does not read, so that little of it is computed.
func TestTheKernelKeepsLittleOfAnAnswer(t *testing.T) {
	written := make(chan int, 1)
	srv, _ := testkit.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		defer func() { written <- n }()
		for n < 64<<20 {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := w.Write(make([]byte, 16<<10)); err != nil {
				return
			}
			n += 16 << 10
		}
	}), transport.ServerOptions{})
	conn := testkit.Dial(t, srv)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	most := 1 << 20
	if runtime.GOOS == "linux" {
		most = 128 << 10 // what cannot be sent is bounded there
	}
	require.LessOrEqual(t, <-written, most)
}
