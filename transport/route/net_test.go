package route_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// TestAConnectionThatBreaksUnderARequest: the member has begun to run the request.
func TestAConnectionThatBreaksUnderARequest(t *testing.T) {
	var runs atomic.Int64
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was closed first
		}
		if w.Header().Get("Member") == "n2" {
			runs.Add(1)
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprintf(w, "n3 %d", len(body))
	}, func(o *route.Options) {
		o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
	}, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)

	broken := func(method, body string) {
		t.Helper()
		response, text := f.send(1, method, "/k", body)
		requireFailure(t, response, text, 502, api.RefusalBroken)
	}
	whole := func(method, body string) {
		t.Helper()
		response, text := f.send(1, method, "/k", body)
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, fmt.Sprint("n3 ", len(body)), text, "all of it, again")
	}
	broken("POST", "v")
	require.EqualValues(t, 1, runs.Swap(0))
	require.Empty(t, f.received(3))

	whole("PUT", strings.Repeat("x", 60<<10))
	require.EqualValues(t, 1, runs.Swap(0))
	whole("GET", "")

	broken("PUT", strings.Repeat("x", 1<<20))
	require.EqualValues(t, 4, f.stats(1).Broken.SameRegion)
}

// TestARequestThatBreaksEveryOwner runs at most twice, whatever the state of connections:
// net/http would send it again by itself on a connection that it has kept.
func TestARequestThatBreaksEveryOwner(t *testing.T) {
	var runs, breaking atomic.Int64
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if breaking.Load() == 0 {
			return
		}
		runs.Add(1)
		panic(http.ErrAbortHandler)
	}, nil, "eu/a", "eu/b", "eu/c", "eu/d")
	f.agree(2, 3, 4)
	for _, test := range []struct {
		method, body string
		headers      []string
		want         int64
	}{
		{"GET", "", nil, 2}, {"HEAD", "", nil, 2}, {"OPTIONS", "", nil, 2}, {"GET", "v", nil, 2},
		{"PUT", "v", nil, 2}, {"DELETE", "", nil, 2}, {"POST", "v", nil, 1}, {"PATCH", "v", nil, 1},
		{"POST", "", nil, 1}, {"POST", "v", []string{"Idempotency-Key: 7"}, 2}, {"POST", "", []string{"Idempotency-Key: 7"}, 2},
	} {
		for member := 2; member <= 4; member++ { // keep a connection to each
			f.believe(1, member)
			f.believe(member, member)
			f.send(1, "GET", "/k", "")
		}
		f.agree(2, 3, 4)
		breaking.Store(1)
		response, _ := f.send(1, test.method, "/k", test.body, test.headers...)
		breaking.Store(0)
		require.Equal(t, 502, response.StatusCode, "%v", test)
		require.Equal(t, test.want, runs.Swap(0), "%v", test)
	}
}

// TestAnAnswerThatIsCutOff must not look like a complete answer.
func TestAnAnswerThatIsCutOff(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, nil, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	response, err := f.client.Get(f.url(1, "/k"))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "half", string(body))
	require.Empty(t, f.received(3))
}

func TestStreamsPass(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, w.Header().Get("Member"), " ", n, " ", err)
	}, func(o *route.Options) {
		o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
		o.Patience = option.None
	}, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	_, body := f.sendFrom(1, "POST", "/k", io.LimitReader(rand.Reader, 3<<20))
	require.Equal(t, "n2 3145728 <nil>", body)

	// When the caller waits for 100 Continue, a member that refuses the request has
	// read nothing of the stream, so another member gets it.
	f.believe(2, 3, 1)
	_, body = f.sendFrom(1, "POST", "/k", io.LimitReader(rand.Reader, 3<<20), "Expect: 100-continue")
	require.Equal(t, "n3 3145728 <nil>", body)
	// If the caller does not wait, a part of the stream is lost.
	response, body := f.sendFrom(1, "POST", "/k", io.LimitReader(rand.Reader, 3<<20))
	requireFailure(t, response, body, 503, api.RefusalNoOwner)
	// Nothing is lost while there is no connection.
	f.kill(2)
	_, body = f.sendFrom(1, "POST", "/k", io.LimitReader(rand.Reader, 3<<20), "Expect: 100-continue")
	require.Equal(t, "n3 3145728 <nil>", body)
}

// TestAnswersAreFlushedAsTheyCome: each piece must arrive before the next is sent.
func TestAnswersAreFlushedAsTheyCome(t *testing.T) {
	turn := make(chan struct{})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "Sum")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-turn:
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("Sum", "3")
	}, nil, "eu/a", "eu/b")
	f.agree(2)
	response, err := f.client.Get(f.url(1, "/k"))
	require.NoError(t, err)
	lines := bufio.NewScanner(response.Body)
	for i := range 3 {
		require.True(t, lines.Scan())
		require.Equal(t, fmt.Sprint("data: ", i), lines.Text())
		turn <- struct{}{}
	}
	require.False(t, lines.Scan())
	require.Equal(t, "3", response.Trailer.Get("Sum"))
	require.NoError(t, response.Body.Close())

	// When a caller disconnects, the work at the other member ends.
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url(1, "/k"), nil)
	require.NoError(t, err)
	response, err = f.client.Do(r)
	require.NoError(t, err)
	got := f.received(2)
	cancel()
	<-got[len(got)-1].Context().Done()
	_ = response.Body.Close() // whose reading ended with the context
}

// echo is, for a proxy, a WebSocket server: it switches protocols and then sends back
// the bytes that it reads.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		_, _ = io.WriteString(w, "no upgrade")
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

func requireEcho(t *testing.T, conn net.Conn, host string) {
	t.Helper()
	defer func() { _ = conn.Close() }()
	_, err := fmt.Fprintf(conn, "GET /k HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", host)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(response.Body)
		require.Equal(t, 101, response.StatusCode, "%s", body)
	}
	for _, word := range []string{"one", "two", strings.Repeat("x", 100<<10)} {
		_, err := io.WriteString(conn, word)
		require.NoError(t, err)
		got := make([]byte, len(word))
		_, err = io.ReadFull(reader, got)
		require.NoError(t, err)
		require.Equal(t, word, string(got))
	}
}

func TestUpgradesPass(t *testing.T) {
	f := newFleet(t, echo, nil, "eu/a", "eu/b", "eu/c")
	f.agree(2)
	f.believe(1, 3, 2) // n3 refuses
	for range 3 {
		conn, err := net.Dial("tcp", f.stations[0].server.Listener.Addr().String())
		require.NoError(t, err)
		requireEcho(t, conn, "k")
	}
	stats := f.stats(1)
	require.EqualValues(t, 3, stats.Answered.SameRegion)
	require.EqualValues(t, 3, stats.Refused.SameRegion)
	_, body := f.send(1, "GET", "/k", "")
	require.Equal(t, "no upgrade", body)
}

// whole is a listener whose connections cannot be closed by halves, as those of netutil.LimitListener.
type whole struct{ net.Listener }

func (l whole) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return struct{ net.Conn }{conn}, err
}

// TestAnUpgradeWithoutHalves ends for the caller when the owner ends it, also if the caller has sent bytes with its request.
func TestAnUpgradeWithoutHalves(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n")
		_, _ = io.CopyN(conn, rw, 5)
	}, nil, "eu/a", "eu/b")
	f.agree(2)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	front := &http.Server{Handler: f.stations[0].router}
	var ended sync.WaitGroup
	ended.Go(func() { _ = front.Serve(whole{l}) })
	defer ended.Wait()
	defer func() { _ = front.Close() }()
	for _, late := range []string{"", "early"} {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Soon)))
		_, err = io.WriteString(conn, "GET /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n"+late)
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection is closed
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
		if late == "" {
			_, err = io.WriteString(conn, "later")
			require.NoError(t, err)
		}
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Len(t, rest, 5)
		require.NoError(t, conn.Close())
	}
}

// TestAHeadOfAStream: its answer is complete while the handler goes on. The connection serves no
// other request, and the handler learns that its caller is gone.
func TestAHeadOfAStream(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, begin := range map[string]func(w http.ResponseWriter){
			"flushed":             func(http.ResponseWriter) {},
			"with its status":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
			"after its beginning": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "data: 1\n\n") },
		} {
			t.Run(fmt.Sprint(name, ", TLS ", secure), func(t *testing.T) {
				p := newPair(t, secure)
				over := ways[0]
				if secure {
					over = ways[2]
				}
				ended := make(chan struct{})
				p.run(t, &behaviour{
					handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
						if r.Method != http.MethodHead {
							_, _ = io.WriteString(w, "next")
							return
						}
						x.leave() // the exchange does not wait for it
						defer x.enter()
						w.Header().Set("Content-Type", "text/event-stream")
						begin(w)
						_ = http.NewResponseController(w).Flush()
						<-r.Context().Done()
						close(ended)
					},
					send: func(x *exchange) {
						x.do(x.request("HEAD", "/k", nil))
						x.do(x.request("GET", "/k", nil))
						require.Contains(x.t, strings.Join(x.caller, "\n"), `body "next"`)
					},
				}, over, 1)
				<-ended
			})
		}
	}
}

// TestAnUpgradeThatCannotPassEnds at the owner too: a handler around the router hides that the
// connection can be taken over.
func TestAnUpgradeThatCannotPassEnds(t *testing.T) {
	ended := make(chan struct{})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		echo(w, r)
	}, nil, "eu/a", "eu/b")
	f.agree(2)
	f.stations[0].put(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.stations[0].router.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	}))
	response, body := f.send(1, "GET", "/k", "", "Connection: Upgrade", "Upgrade: websocket")
	requireFailure(t, response, body, 502, api.RefusalBroken)
	<-ended
}

// TestAStreamThatAServerHasNotProcessed goes to another owner, or has certainly not run.
func TestAStreamThatAServerHasNotProcessed(t *testing.T) {
	frame := func(kind byte, stream byte, payload ...byte) []byte {
		return append([]byte{0, 0, byte(len(payload)), kind, 0, 0, 0, 0, stream}, payload...)
	}
	const headers, reset, settings, goAway = 1, 3, 4, 7
	for name, refusal := range map[string]func(stream byte) []byte{
		"refused":   func(stream byte) []byte { return frame(reset, stream, 0, 0, 0, 7) },
		"shut down": func(byte) []byte { return frame(goAway, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var all sync.WaitGroup
			defer all.Wait()
			defer func() { _ = l.Close() }()
			all.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					all.Go(func() {
						defer func() { _ = conn.Close() }()
						r := bufio.NewReader(conn)
						_, _ = r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
						_, _ = conn.Write(frame(settings, 0))
						for {
							var head [9]byte
							if _, err := io.ReadFull(r, head[:]); err != nil {
								return
							}
							_, _ = r.Discard(int(head[1])<<8 | int(head[2]))
							if head[3] == headers {
								_, _ = conn.Write(refusal(head[8]))
							}
						}
					})
				}
			})
			f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "%s %s", w.Header().Get("Member"), body)
			}, func(o *route.Options) {
				o.Patience = option.None
				o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
			}, "eu/a", "eu/b", "eu/c")
			f.members[1].Services = map[string]string{"kv": l.Addr().String()}
			tr := &http.Transport{Protocols: new(http.Protocols)}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			f.client.Transport = tr
			f.agree(2, 3)
			response, body := f.send(1, "POST", "/k", "body")
			require.Equal(t, "n3 body", body)
			require.Equal(t, http.StatusOK, response.StatusCode)
			f.agree(2)
			response, body = f.send(1, "POST", "/k", "body")
			requireFailure(t, response, body, 503, api.RefusalNoOwner)
			require.NoError(t, f.stations[0].router.Close())
		})
	}
}

// closing is a listener whose connections end, until it opens, when the first bytes have come. So behaves a proxy of TCP
// connections whose server does not run yet.
type closing struct {
	net.Listener
	open atomic.Bool
}

func (l *closing) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.open.Load() {
			return conn, err
		}
		_, _ = io.ReadAtLeast(conn, make([]byte, 64<<10), 1)
		_ = conn.Close()
	}
}

// TestAConnectionThatEndsBeforeItBegins: nothing of a request is sent while HTTP/2 in clear, or TLS, begins. So the request goes to
// another owner, and to this one when there is no other. The address may speak HTTP/2.
func TestAConnectionThatEndsBeforeItBegins(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	own := ca.Issue("member")
	own.RootCAFile = ca.File
	for _, secure := range []bool{false, true} {
		transports(t, func(t *testing.T, edit func(*route.Options)) {
			if !secure && edit != nil {
				return // http.Transport sends the request together with the beginning of HTTP/2
			}
			f := newFleet(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Protocol", r.Proto) }, func(o *route.Options) {
				o.Patience = testkit.Soon
				o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
				if edit != nil {
					edit(o)
					o.Transport.(*http.Transport).Protocols = new(http.Protocols)
					o.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
				}
				if secure {
					o.Scheme = "https"
				}
				if secure && edit == nil {
					o.Transport = testkit.NewPool(t, client.PoolOptions{TLS: own})
				} else if secure {
					own := o.Transport.(*http.Transport)
					own.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
					require.True(t, own.TLSClientConfig.RootCAs.AppendCertsFromPEM(testkit.Read(t, ca.File)))
					own.Protocols.SetHTTP2(true)
				}
			}, "eu/a", "eu/b", "eu/c")
			var listeners []*closing
			for number := 2; number <= 3; number++ {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				listener := &closing{Listener: l}
				listeners = append(listeners, listener)
				server := &http.Server{Handler: f.stations[number-1].router, Protocols: new(http.Protocols)}
				server.Protocols.SetUnencryptedHTTP2(true)
				server.Protocols.SetHTTP1(true)
				server.Protocols.SetHTTP2(true)
				var ended sync.WaitGroup
				if secure {
					server.TLSConfig, err = transport.ServerTLS(own, testkit.Quiet())
					require.NoError(t, err)
					ended.Go(func() { _ = server.ServeTLS(listener, "", "") })
				} else {
					ended.Go(func() { _ = server.Serve(listener) })
				}
				t.Cleanup(func() {
					_ = server.Close()
					ended.Wait()
				})
				f.members[number-1].Services = map[string]string{"kv": l.Addr().String()}
			}
			f.agree(2, 3)
			f.client.Transport = clientOf(t, 2).Transport
			listeners[1].open.Store(true)
			response, body := f.send(1, "POST", "/k", "body")
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			require.Equal(t, "n3", response.Header.Get("Member"))

			f.agree(2)
			time.AfterFunc(50*time.Millisecond, func() { listeners[0].open.Store(true) })
			response, body = f.send(1, "POST", "/k", "body")
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			require.Equal(t, "n2", response.Header.Get("Member"))
			require.Equal(t, "HTTP/2.0", response.Header.Get("Protocol"))
		})
	}
}

// late is a connection whose reader learns late that the other side has closed it.
type late struct {
	*net.TCPConn
	ended chan<- struct{}
	tell  <-chan struct{}
}

func (c *late) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if errors.Is(err, io.EOF) {
		c.ended <- struct{}{}
		<-c.tell
	}
	return n, err
}

// TestAnIdleConnectionThatHasEnded: the owner has closed an idle connection, and http.Transport has not noticed yet. A request with a body
// that is not idempotent goes over another one.
func TestAnIdleConnectionThatHasEnded(t *testing.T) {
	var runs atomic.Int64
	ended, tell := make(chan struct{}, 8), make(chan struct{})
	own := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &late{conn.(*net.TCPConn), ended, tell}, nil
	}}
	f := newFleet(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		runs.Add(1)
	}, func(o *route.Options) { o.Transport = own }, "eu/a", "eu/b")
	f.agree(2)
	for _, body := range []string{"body", ""} {
		for round := range 2 {
			before := runs.Load()
			response, text := f.send(1, "POST", "/k", body)
			require.Equal(t, http.StatusOK, response.StatusCode, "%d %s", round, text)
			require.EqualValues(t, 1, runs.Load()-before)
			f.stations[1].server.CloseClientConnections()
			<-ended
		}
	}
	require.Zero(t, f.stats(1).Broken.SameRegion)
	close(tell)
	own.CloseIdleConnections()
}

// TestUpgradesPassOverTLS also when the server of the owner speaks HTTP/2, which has no
// upgrades.
func TestUpgradesPassOverTLS(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	own := ca.Issue("member")
	own.RootCAFile = ca.File
	pool := testkit.NewPool(t, client.PoolOptions{TLS: own})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Protocol", r.Proto)
		echo(w, r)
	}, func(o *route.Options) { o.Scheme, o.Transport = "https", pool }, "eu/a", "eu/b")
	srv, _ := testkit.Serve(t, f.stations[1].router, transport.ServerOptions{TLS: own})
	f.members[1].Services = map[string]string{"kv": srv.Addr().String()}
	f.agree(2)

	response, body := f.send(1, "GET", "/k", "")
	require.Equal(t, "no upgrade", body)
	require.Equal(t, "HTTP/1.1", response.Header.Get("Protocol"), "as it came")
	conn, err := net.Dial("tcp", f.stations[0].server.Listener.Addr().String())
	require.NoError(t, err)
	requireEcho(t, conn, "k")
}

// TestRoutersUseFewConnections counts the connections at the owner: 1000 requests, 100
// at a time.
func TestRoutersUseFewConnections(t *testing.T) {
	pool := testkit.NewPool(t, client.PoolOptions{MaxConnsPerHost: 8})
	f := newFleet(t, nil, func(o *route.Options) { o.Transport = pool }, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	var all sync.WaitGroup
	var failures atomic.Int64
	for i := range 100 {
		all.Go(func() {
			for j := range 10 {
				method := []string{"GET", "POST"}[(i+j)%2]
				r, err := http.NewRequestWithContext(t.Context(), method, f.url(1, "/k"), bytes.NewReader([]byte("v")))
				if err != nil {
					failures.Add(1)
					continue
				}
				response, err := f.client.Do(r)
				if err != nil {
					failures.Add(1)
					continue
				}
				_, err = io.Copy(io.Discard, response.Body)
				if errors.Join(err, response.Body.Close()) != nil || response.StatusCode != http.StatusOK {
					failures.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.Zero(t, failures.Load())
	require.EqualValues(t, 1000, sum(f.stats(1).Answered))
	// There are at most 8 at a time. On a busy machine, when a goroutine waits for 50
	// ms, net/http may drop a connection and make another.
	for _, s := range f.stations[1:] {
		require.LessOrEqual(t, s.opened.Load(), int64(4*8))
	}
	require.Positive(t, f.stations[1].opened.Load(), "it is what was counted")
}

// TestEventStreamsKeepNoRequestOff: they have connections of their own.
func TestEventStreamsKeepNoRequestOff(t *testing.T) {
	pool := testkit.NewPool(t, client.PoolOptions{MaxConnsPerHost: 2})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(o *route.Options) { o.Transport = pool }, "eu/a", "eu/b")
	f.agree(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 64 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url(1, "/k"), nil)
		require.NoError(t, err)
		r.Header.Set("Accept", "text/event-stream")
		response, err := f.client.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, 200, response.StatusCode)
	}
	for range 4 {
		response, _ := f.send(1, "POST", "/k", "v")
		require.Equal(t, 200, response.StatusCode)
	}
}

// TestHeadersThatAreLong pass as they do at the owner.
func TestHeadersThatAreLong(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Long", r.Header.Get("Long"))
	}, nil, "eu/a", "eu/b")
	f.agree(2)
	for _, size := range []int{64 << 10, 70 << 10, 128 << 10, 900 << 10} {
		for member := 1; member <= 2; member++ {
			response, body := f.send(member, "GET", "/k", "", "Long: "+strings.Repeat("x", size))
			require.Equal(t, 200, response.StatusCode, "%d bytes by n%d: %s", size, member, body)
			require.Len(t, response.Header.Get("Long"), size)
		}
	}
}

// TestTrailersPass both ways, also when an owner refused first.
func TestTrailersPass(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Sum", fmt.Sprint(n, " ", r.Trailer.Get("Checksum")))
	}, func(o *route.Options) {
		o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
	}, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	for range 2 {
		for member := 1; member <= 3; member++ {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.url(member, "/k"), nil)
			require.NoError(t, err)
			r.Trailer = http.Header{"Checksum": nil}
			r.Header.Set("Expect", "100-continue") // so that a refusal comes before the body
			body := io.LimitReader(rand.Reader, 1<<20)
			r.Body = io.NopCloser(readerFunc(func(b []byte) (int, error) {
				n, err := body.Read(b)
				if err == io.EOF {
					r.Trailer.Set("Checksum", "abc")
				}
				return n, err
			}))
			response, err := f.client.Do(r)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, 200, response.StatusCode)
			require.Equal(t, "1048576 abc", response.Trailer.Get("Sum"), "n%d", member)
		}
		f.believe(2, 3, 1) // n2 refuses
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
