package client_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// crowd is a handler that counts connections, and the requests that it serves at a
// time. It holds requests until the test releases them.
type crowd struct {
	letGo       chan struct{}
	conns       sync.Map
	count       atomic.Int64 // the number of conns
	now, peak   atomic.Int64
	enough      int64
	enoughCame  chan struct{}
	announceOne sync.Once
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, known := c.conns.LoadOrStore(r.RemoteAddr, true); !known {
		c.count.Add(1)
	}
	now := c.now.Add(1)
	for {
		if before := c.peak.Load(); now <= before || c.peak.CompareAndSwap(before, now) {
			break
		}
	}
	if now >= c.enough {
		c.announceOne.Do(func() { close(c.enoughCame) })
	}
	<-c.letGo
	_, _ = io.WriteString(w, r.Proto)
	c.now.Add(-1) // before net/http sends the answer, after which the client can use the connection again
}

// TestAThousandRequestsUseFewConnections counts connections at the server: 100 callers
// share 8. First the server holds all requests, so that no connection is replaced: then
// the number of connections is exact. Later net/http may replace a connection whose
// goroutine has waited for 50 ms. Then only the number of requests that HTTP/1.1
// carries at a time is exact.
func TestAThousandRequestsUseFewConnections(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	const most, callers, each = 8, 100, 10
	for _, test := range []struct {
		name, scheme, proto string
		tls                 client.TLSOptions
		held                int64 // requests that arrive while none is answered
	}{
		{"clear", "http", "HTTP/1.1", client.TLSOptions{}, most},
		{"TLS", "https", "HTTP/2.0", ca.Issue("member"), callers},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &crowd{letGo: make(chan struct{}), enough: test.held, enoughCame: make(chan struct{})}
			srv, _ := testkit.Serve(t, c, transport.ServerOptions{TLS: test.tls})
			p := testkit.NewPool(t, client.PoolOptions{MaxConnsPerHost: most, TLS: client.TLSOptions{RootCAFile: ca.File}})
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range each {
						r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, test.scheme+"://"+srv.Addr().String(), nil)
						answer, err := p.RoundTrip(r)
						if err != nil {
							t.Error(err)
							return
						}
						body, err := io.ReadAll(answer.Body)
						if err != nil || string(body) != test.proto || answer.Body.Close() != nil {
							t.Error(string(body), err)
						}
					}
				})
			}
			<-c.enoughCame
			require.LessOrEqual(t, c.count.Load(), int64(most), "100 callers wait, and no connection has gone")
			close(c.letGo)
			wg.Wait()
			t.Log("1000 requests,", c.count.Load(), "connections, at most", c.peak.Load(), "requests at a time")
			if test.proto == "HTTP/1.1" {
				require.LessOrEqual(t, c.peak.Load(), int64(most))
			}
			require.Positive(t, c.count.Load())
			require.Less(t, c.count.Load(), int64(callers*each/4), "they are used again")
		})
	}
}

// TestAPoolSendsItsToken to members alone. It does not send the token in clear text, in
// place of a token that the request has, or with requests that a router forwards.
func TestAPoolSendsItsToken(t *testing.T) {
	guard := testkit.NewGuard(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	internal := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	srv, _ := testkit.Serve(t, internal, transport.ServerOptions{})
	url := "http://" + srv.Addr().String() + "/internal"
	var token atomic.Value
	token.Store(testkit.ReadToken)
	p := testkit.NewPool(t, client.PoolOptions{Token: func() string { return token.Load().(string) }})
	members := http.Client{Transport: p}
	send := func(headers ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		before := r.Header.Clone()
		answer, err := members.Do(r)
		require.NoError(t, err)
		require.Equal(t, before, r.Header, "the caller's request stays as it is")
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode, string(body)
	}
	status, body := send()
	require.Equal(t, 200, status)
	require.Equal(t, "Bearer "+testkit.ReadToken, body)
	token.Store(testkit.BothToken)
	_, body = send()
	require.Equal(t, "Bearer "+testkit.BothToken, body, "it is asked for every time")
	status, _ = send("Authorization", "Bearer another")
	require.Equal(t, 401, status, "the request's own")
	status, _ = send(wire.ForwardedHeader, "orders kv n1")
	require.Equal(t, 401, status, "a user's request, forwarded")

	_, _, err := testkit.Ask(t, p, "http://10.255.255.1:1/internal")
	require.ErrorContains(t, err, "the token would be sent in clear")
	token.Store("no token\r\n")
	_, _, err = testkit.Ask(t, p, url)
	require.ErrorContains(t, err, "PoolOptions.Token returned an invalid token")
	require.NotContains(t, err.Error(), "no token\r\n")
}

// TestABurstFindsItsConnectionsAgain: as many connections are kept as may be open.
func TestABurstFindsItsConnectionsAgain(t *testing.T) {
	const most = 64
	var here sync.WaitGroup
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		here.Done()
		here.Wait() // each request has a connection of its own
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	p := testkit.NewPool(t, client.PoolOptions{})
	for range 3 {
		here.Add(most)
		var all sync.WaitGroup
		for range most {
			all.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
				if err != nil {
					panic(err)
				}
				answer, err := p.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
			})
		}
		all.Wait()
		require.EqualValues(t, most, opened.Load())
	}
}
