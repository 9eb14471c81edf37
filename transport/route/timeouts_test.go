package route_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// wires are listeners in memory, by address.
type wires map[string]chan net.Conn

func (w wires) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case w[addr] <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// socket is a listener of wires.
type socket struct {
	wires
	addr string
	once sync.Once
	end  chan struct{}
}

func (w *socket) Accept() (net.Conn, error) {
	select {
	case c := <-w.wires[w.addr]:
		return c, nil
	case <-w.end:
		return nil, net.ErrClosed
	}
}

func (w *socket) Close() error {
	w.once.Do(func() { close(w.end) })
	return nil
}

func (w *socket) Addr() net.Addr { return &net.UnixAddr{Name: w.addr} }

// patient is two members in virtual time, whose servers have timeouts. All keys are those of n2.
type patient struct {
	client  *http.Client
	running atomic.Int64 // requests at both servers
}

const serverTimeout = 30 * time.Second

func newPatient(t *testing.T, major int, handler http.HandlerFunc) *patient {
	p, all := new(patient), wires{"n1:1": make(chan net.Conn), "n2:1": make(chan net.Conn)}
	transport := func() *http.Transport {
		tr := &http.Transport{DialContext: all.dial, Protocols: new(http.Protocols), DisableCompression: true}
		tr.Protocols.SetHTTP1(major == 1)
		tr.Protocols.SetUnencryptedHTTP2(major == 2)
		t.Cleanup(tr.CloseIdleConnections)
		return tr
	}
	p.client = &http.Client{Transport: transport()}
	var members []membership.Member
	var nodes []ring.Node
	for _, id := range []string{"n1", "n2"} {
		nodes = append(nodes, ring.Node{ID: id, Region: "eu", Zone: id, Weight: 1})
		members = append(members, membership.Member{ID: id, Region: "eu", Zone: id, State: membership.Active, Services: map[string]string{"kv": id + ":1"}})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: 1, Strategy: lists{[]int{1}}}, nodes)
	require.NoError(t, err)
	for _, id := range []string{"n1", "n2"} {
		s := newSeen("orders", id)
		s.set(r, members)
		router, err := route.New(s, handler, route.Options{Service: "kv", Key: byPath, Transport: transport(), Logger: testkit.Quiet()})
		require.NoError(t, err)
		server := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p.running.Add(1)
				defer p.running.Add(-1)
				router.ServeHTTP(w, r)
			}),
			ReadTimeout: serverTimeout, WriteTimeout: serverTimeout, Protocols: new(http.Protocols),
		}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		l := &socket{wires: all, addr: id + ":1", end: make(chan struct{})}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { require.NoError(t, server.Close()) })
	}
	return p
}

// TestTheTimeoutsOfTheOwner: a handler that lifts the timeouts of its server answers for as long as it
// likes, also when the request was forwarded by a server with the same timeouts.
func TestTheTimeoutsOfTheOwner(t *testing.T) {
	lifted := func(w http.ResponseWriter) *http.ResponseController {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Time{})
		return c
	}
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		body   func() io.Reader // nil: none
		want   string
	}{
		{name: "an event stream", want: "eventeventeventevent", handle: func(w http.ResponseWriter, _ *http.Request) {
			c := lifted(w)
			for range 4 {
				_, _ = io.WriteString(w, "event")
				_ = c.Flush()
				time.Sleep(20 * time.Second)
			}
		}},
		{name: "a long poll", want: "at last", handle: func(w http.ResponseWriter, r *http.Request) {
			lifted(w)
			select {
			case <-time.After(2 * time.Minute):
				_, _ = io.WriteString(w, "at last")
			case <-r.Context().Done():
			}
		}},
		{name: "a long upload", want: "partpartpartpart", handle: func(w http.ResponseWriter, r *http.Request) {
			lifted(w)
			body, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
			_, _ = w.Write(body)
		}, body: func() io.Reader {
			r, w := io.Pipe()
			go func() {
				for range 4 {
					_, _ = io.WriteString(w, "part")
					time.Sleep(20 * time.Second)
				}
				_ = w.Close()
			}()
			return r
		}},
		{name: "a long end", want: "begun", handle: func(w http.ResponseWriter, _ *http.Request) {
			c := lifted(w)
			_, _ = io.WriteString(w, "begun")
			_ = c.Flush()
			time.Sleep(2 * time.Minute)
		}},
	} {
		for major := 1; major <= 2; major++ {
			for _, member := range []string{"n2", "n1"} {
				t.Run(c.name+" at "+member+" over HTTP/"+string(rune('0'+major)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						p := newPatient(t, major, c.handle)
						for range 2 { // over one connection
							var body io.Reader
							if c.body != nil {
								body = c.body()
							}
							r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+member+":1/k", body)
							require.NoError(t, err)
							response, err := p.client.Do(r)
							require.NoError(t, err)
							answer, err := io.ReadAll(response.Body)
							require.NoError(t, err)
							require.NoError(t, response.Body.Close())
							require.Equal(t, http.StatusOK, response.StatusCode)
							require.Equal(t, c.want, string(answer))
						}
					})
				})
			}
		}
	}
}

// TestACallerThatDoesNotRead an answer does not keep a router for ever: the timeouts of the servers end it.
func TestACallerThatDoesNotRead(t *testing.T) {
	for major := 1; major <= 2; major++ {
		for _, lifts := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(t, major, func(w http.ResponseWriter, _ *http.Request) {
					c := http.NewResponseController(w)
					if lifts {
						_ = c.SetWriteDeadline(time.Time{})
					}
					_ = c.Flush()
					time.Sleep(time.Second) // virtual: the proxy has flushed
					for range 100 {
						if _, err := io.WriteString(w, strings.Repeat("x", 1<<20)); err != nil {
							return
						}
					}
				})
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://n1:1/k", http.NoBody)
				require.NoError(t, err)
				response, err := p.client.Do(r)
				require.NoError(t, err)
				time.Sleep(4 * serverTimeout)
				require.Zero(t, p.running.Load())
				require.NoError(t, response.Body.Close())
			})
		}
	}
}
