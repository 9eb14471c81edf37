package client_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// protocolServer answers with the version of HTTP by which a request came, and its body.
func protocolServer(t *testing.T, clearHTTP2 bool) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PRI" {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Proto+" "+string(body))
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(clearHTTP2)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// received is a request as a proxy sends it on.
func received(t *testing.T, method, url, body string, major int) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.RequestURI, r.ProtoMajor, r.GetBody = "/", major, nil
	return r
}

// TestRequestsThatCameByHTTP2 go on by HTTP/2 in clear where the server speaks it. A server
// that does not gets them whole by HTTP/1.1, at the first attempt too.
func TestRequestsThatCameByHTTP2(t *testing.T) {
	pool := testkit.NewPool(t, client.PoolOptions{})
	for _, test := range []struct {
		clearHTTP2 bool
		major      int
		want       string
	}{{true, 2, "HTTP/2.0"}, {true, 1, "HTTP/1.1"}, {false, 2, "HTTP/1.1"}, {false, 1, "HTTP/1.1"}} {
		s := protocolServer(t, test.clearHTTP2)
		for range 3 {
			body := strings.Repeat("body", 50_000)
			response, err := pool.RoundTrip(received(t, "POST", s.URL, body, test.major))
			require.NoError(t, err, "%v", test)
			got, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, test.want+" "+body, string(got))
		}
	}
}

// TestAServerThatSaysNothing when a connection begins is no server of HTTP/1.1: the request
// fails, and was not sent.
func TestAServerThatSaysNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	var sent atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			go func() {
				n, _ := io.Copy(io.Discard, conn)
				sent.Add(n)
			}()
		}
	}()
	pool := testkit.NewPool(t, client.PoolOptions{HandshakeTimeout: 50 * time.Millisecond})
	_, err = pool.RoundTrip(received(t, "POST", "http://"+l.Addr().String(), "body", 2)) //nolint:bodyclose // there is none
	require.ErrorContains(t, err, "beginning HTTP/2")
	require.LessOrEqual(t, sent.Load(), int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
}
