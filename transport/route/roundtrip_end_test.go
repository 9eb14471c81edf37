package route_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// TestWhyARoundTripFails: the error says whether the request may have run, and why no owner
// has answered.
func TestWhyARoundTripFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(d *desk)
		want  error
		paths string
	}{
		{"no ring", func(d *desk) { d.set(nil, d.members) }, route.ErrNoOwner, ""},
		{"no service", func(d *desk) {
			d.members[1].Services = nil
			d.own(2)
		}, route.ErrNoService, ""},
		{"unreachable", func(d *desk) {
			d.own(2)
			d.answersFrom(2, unreachable)
		}, route.ErrNoOwner, "n2:1"},
		{"refused", func(d *desk) {
			d.own(2)
			d.answersFrom(2, refuses)
		}, route.ErrRefused, "n2:1"},
		{"broken", func(d *desk) {
			d.own(2)
			d.answersFrom(2, breaks)
		}, io.ErrUnexpectedEOF, "n2:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, route.Options{})
				rt := d.sender(route.Options{Patience: option.None})
				c.set(d)
				body := &watched{Reader: strings.NewReader("b")}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kv/k", body)
				require.NoError(t, err)
				_, err = rt.RoundTrip(r) //nolint:bodyclose // an error has no body
				require.ErrorIs(t, err, c.want)
				if c.name == "broken" {
					requireMayHaveRun(t, err)
				} else {
					require.ErrorContains(t, err, "the request has not run")
				}
				require.Equal(t, c.paths, d.paths())
				require.Equal(t, int64(1), body.closed.Load())
				require.Equal(t, uint64(1), rt.Stats().GaveUp)
			})
		})
	}
}

// TestIdleConnectionsOfARoundTripper are closed by the method of the http.Client.
func TestIdleConnectionsOfARoundTripper(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a")
	o, rt := f.sender("c", nil)
	f.tell(o, 1)
	c := http.Client{Transport: rt}
	for want := range int64(2) {
		response, err := c.Get("http://kv/k")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want+1, f.stations[0].opened.Load())
		c.CloseIdleConnections()
	}
}

// TestARequestThatCannotBeSent is not sent to every owner in turn, and its error is that of
// http.Transport.
func TestARequestThatCannotBeSent(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	o, rt := f.sender("c", nil)
	f.tell(o, 1, 2)
	for name, edit := range map[string]func(*http.Request){
		"header field name":   func(r *http.Request) { r.Header["a b"] = []string{"1"} },
		"header field value":  func(r *http.Request) { r.Header.Set("A", "1\n2") },
		"method":              func(r *http.Request) { r.Method = "A B" },
		"trailer field name":  func(r *http.Request) { r.Trailer = http.Header{"a b": nil} },
		"trailer field value": func(r *http.Request) { r.Trailer = http.Header{"A": []string{"1\n2"}} },
	} {
		t.Run(name, func(t *testing.T) {
			body := &watched{Reader: strings.NewReader("b")}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://kv/k", body)
			require.NoError(t, err)
			edit(r)
			_, err = rt.RoundTrip(r) //nolint:bodyclose // an error has no body
			require.ErrorContains(t, err, "net/http: invalid "+name)
			require.NotErrorAs(t, err, new(*api.Refusal))
			require.Equal(t, int64(1), body.closed.Load())
		})
	}
	stats := rt.Stats()
	require.Zero(t, stats.Retries)
	require.Zero(t, sum(stats.Broken)+sum(stats.Unreachable))
}

// TestARoundTripHonoursItsContext: it ends with the error of the context, also while it
// waits for an owner.
func TestARoundTripHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		rt := d.sender(route.Options{Patience: time.Minute})
		d.own(2)
		d.answersFrom(2, refuses)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://kv/k", nil)
		require.NoError(t, err)
		began := time.Now()
		_, err = rt.RoundTrip(r) //nolint:bodyclose // an error has no body
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
	})
}

// lasting is a context that goes on for long. It counts what waits for its end.
type lasting struct {
	context.Context
	done    chan struct{}
	waiting atomic.Int64
}

func (l *lasting) Done() <-chan struct{} { return l.done }

// AfterFunc is called by package context for each context in this one.
func (l *lasting) AfterFunc(func()) func() bool {
	l.waiting.Add(1)
	return sync.OnceValue(func() bool {
		l.waiting.Add(-1)
		return true
	})
}

// TestARoundTripLeavesNothingInItsContext, which may be that of the whole process.
func TestARoundTripLeavesNothingInItsContext(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/k/break":
			panic(http.ErrAbortHandler)
		case r.Header.Get("Upgrade") != "":
			echo(w, r)
		case r.URL.Path == "/k/slow" && w.Header().Get("Member") == "n2":
			<-r.Context().Done()
		default:
			_, _ = io.Copy(w, r.Body)
			_, _ = io.WriteString(w, strings.Repeat("x", 100<<10))
		}
	}, nil, "eu/c", "eu/a", "eu/b")
	for name, edit := range map[string]func(*route.Options){
		"without hedges": func(o *route.Options) {},
		"with hedges":    func(o *route.Options) { o.HedgeAfter = 20 * time.Millisecond },
		"with a wrapper": func(o *route.Options) { o.Wrap = func(rt http.RoundTripper) http.RoundTripper { return rt } },
	} {
		t.Run(name, func(t *testing.T) {
			o, rt := f.sender("c", func(o *route.Options) {
				edit(o)
				o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
			})
			f.tell(o, 2, 3)
			ctx := &lasting{Context: t.Context(), done: make(chan struct{})}
			for _, c := range []struct {
				method, path, body string
				headers            []string
				closes             bool // without a read
			}{
				{"GET", "/k", "", nil, false},
				{"GET", "/k", "", nil, true},
				{"HEAD", "/k", "", nil, true},
				{"PUT", "/k", "body", nil, false},
				{"GET", "/k/break", "", nil, true},
				{"PUT", "/k/break", "body", nil, true},
				{"GET", "/k", "", []string{"Connection: Upgrade", "Upgrade: websocket"}, true},
				{"GET", "/k/slow", "", nil, false},
			} {
				if c.path == "/k/slow" && name != "with hedges" {
					continue
				}
				r, err := http.NewRequestWithContext(ctx, c.method, "http://kv"+c.path, strings.NewReader(c.body))
				require.NoError(t, err)
				for _, header := range c.headers {
					key, value, _ := strings.Cut(header, ": ")
					r.Header.Set(key, value)
				}
				response, err := rt.RoundTrip(r)
				require.Equal(t, c.path == "/k/break", err != nil, "%v", err)
				if err == nil {
					if !c.closes {
						_, err = io.Copy(io.Discard, response.Body)
						require.NoError(t, err)
					}
					require.NoError(t, response.Body.Close())
				}
				// net/http lets go in the background of what it has begun itself.
				require.Eventually(t, func() bool { return ctx.waiting.Load() == 0 }, testkit.Soon, time.Millisecond, "%+v", c)
			}
		})
	}
}

// TestAConnectionThatComesTooLate: http.Transport writes a request also to a connection that it
// gets after the context has ended. The connection is closed before that, so that the request
// has not run there, and goes to the next owner.
func TestAConnectionThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		rt := d.sender(route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
		d.own(2, 3)
		d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GetConn("n2:1")
			<-r.Context().Done()
			near, far := net.Pipe()
			defer func() { _ = far.Close() }()
			trace.GotConn(httptrace.GotConnInfo{Conn: near})
			trace.WroteHeaders()
			if _, err := near.Write([]byte("POST")); err != nil {
				return nil, err
			}
			t.Error("the request was sent")
			return nil, r.Context().Err()
		})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kv/k", strings.NewReader("b"))
		require.NoError(t, err)
		response, err := rt.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "n2:1 n3:1", d.paths())
		require.Equal(t, uint64(1), rt.Stats().Unreachable.SameZone)
	})
}

// TestARoundTripWithoutAKey goes to the host of its URL, as it is.
func TestARoundTripWithoutAKey(t *testing.T) {
	d := newDesk(t, route.Options{})
	rt := d.sender(route.Options{})
	d.to["elsewhere:80"] = func(r *http.Request) (*http.Response, error) {
		if r.Header.Get(wire.ForwardedHeader) != "" {
			return nil, errors.New("marked")
		}
		return httptest.NewRecorder().Result(), nil
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://elsewhere:80/free", nil)
	require.NoError(t, err)
	response, err := rt.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, uint64(1), rt.Stats().Unkeyed)
}

// TestAStreamedBodyIsClosed: when the answer was read, and not while the transport may still
// send it.
func TestAStreamedBodyIsClosed(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.WriteString(w, "early ")
		_ = http.NewResponseController(w).Flush()
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}, nil, "eu/a", "eu/b")
	o, rt := f.sender("a", nil)
	f.tell(o, 2)
	reader, writer := io.Pipe()
	body := &watched{Reader: reader}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kv/k", body)
	require.NoError(t, err)
	response, err := rt.RoundTrip(r)
	require.NoError(t, err)
	require.Zero(t, body.closed.Load())
	go func() {
		_, _ = io.WriteString(writer, "late")
		_ = writer.Close()
	}()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "early late", string(answer))
	require.NoError(t, response.Body.Close())
	require.Equal(t, int64(1), body.closed.Load())
}

// TestAnotherServerAtTheAddress: a success of a server that is no router does not count.
func TestAnotherServerAtTheAddress(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	o, rt := f.sender("a", nil)
	f.tell(o, 2)
	f.stations[1].put(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "of another") }))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kv/k", bytes.NewReader(nil))
	require.NoError(t, err)
	_, err = rt.RoundTrip(r) //nolint:bodyclose // an error has no body
	requireMayHaveRun(t, err)
}

// TestNewRoundTripper checks its options.
func TestNewRoundTripper(t *testing.T) {
	_, err := route.NewRoundTripper(nil, route.Options{})
	require.ErrorContains(t, err, "the cluster is nil")
	_, err = route.NewRoundTripper(newSeen("orders", "n1"), route.Options{Service: "a b"})
	require.ErrorContains(t, err, "Service")
	require.ErrorContains(t, err, "Key")
	_, err = route.NewRoundTripper(newSeen("orders", "n1"), route.Options{Service: "kv", Key: byPath, Wrap: func(http.RoundTripper) http.RoundTripper { return nil }})
	require.ErrorContains(t, err, "NewRoundTripper: Options.Wrap returned nil")
}

// TestWhyAHedgedRoundTripFails: the error names the attempt that broke, also when another one refused after it.
func TestWhyAHedgedRoundTripFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		rt := d.sender(route.Options{Patience: option.None, HedgeAfter: hedgeAfter})
		d.own(2, 3)
		d.answersFrom(2, slow(time.Second, breaks))
		d.answersFrom(3, slow(2*time.Second, refuses))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://kv/k", nil)
		require.NoError(t, err)
		_, err = rt.RoundTrip(r) //nolint:bodyclose // an error has no body
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		requireMayHaveRun(t, err)
	})
}
