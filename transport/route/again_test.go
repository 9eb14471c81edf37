package route_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

func TestRequestsThatAreSentAgain(t *testing.T) {
	for _, test := range []struct {
		name, method string
		headers      []string
		how          func(*http.Request) (*http.Response, error)
		again        bool
	}{
		{"a refused POST", "POST", nil, refuses, true},
		{"a POST that went nowhere", "POST", nil, unreachable, true},
		{"a POST that may have run", "POST", nil, breaks, false},
		{"a PATCH that may have run", "PATCH", nil, breaks, false},
		{"a PUT that may have run", "PUT", nil, breaks, true},
		{"a DELETE that may have run", "DELETE", nil, breaks, true},
		{"a POST that names itself", "POST", []string{"Idempotency-Key: 7"}, breaks, true},
		{"an upgrade that may have run", "GET", []string{"Connection: keep-alive, Upgrade", "Upgrade: websocket"}, breaks, false},
		{"a read with the header Connection of an upgrade", "GET", []string{"Connection: upgrade"}, breaks, true},
		{"a read that offers h2c", "GET", []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: x"}, breaks, true},
		{"an upgrade that went nowhere", "GET", []string{"Connection: Upgrade", "Upgrade: websocket"}, unreachable, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
				d.own(2, 3)
				d.answersFrom(2, test.how)
				w, _ := d.ask(t.Context(), test.method, "the body", test.headers...)
				if test.again {
					require.Equal(t, "n3 the body", w.Body.String())
					require.Equal(t, "n2:1 n3:1", d.paths())
					return
				}
				requireGaveUp(t, w, 502, api.RefusalBroken, "may have run")
				require.Equal(t, "n2:1", d.paths())
			})
		})
	}
}

// TestOnceBrokenAlwaysBroken: a request that may have run at the first member may have
// run, whatever the second member answers.
func TestOnceBrokenAlwaysBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		d.own(2, 3)
		d.answersFrom(2, breaks)
		d.answersFrom(3, unreachable)
		w, _ := d.ask(t.Context(), "GET", "")
		requireGaveUp(t, w, 502, api.RefusalBroken, "may have run")
	})
}

func TestStreamsAreSentAgainWhileUntouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name string
			how  func(*http.Request) (*http.Response, error)
			want string
		}{
			{"nothing was read", unreachable, "n3 a stream"},
			{"refused before it was read", refuses, "n3 a stream"},
			{"some of it was read, then refused", func(r *http.Request) (*http.Response, error) {
				_, _ = r.Body.Read(make([]byte, 1))
				return refuses(r)
			}, "n3 a stream"},
			{"more was read than is kept, then refused", func(r *http.Request) (*http.Response, error) {
				_, _ = io.CopyN(io.Discard, r.Body, 8)
				return refuses(r)
			}, "the request has not run"},
			{"it was read, then broken", breaks, "may have run"},
			{"it was read too late", func(r *http.Request) (*http.Response, error) {
				go func() {
					time.Sleep(time.Second)
					if n, err := r.Body.Read(make([]byte, 1)); n > 0 || err == nil {
						t.Errorf("read %d bytes of what another member got: %v", n, err)
					}
				}()
				return unreachable(r)
			}, "n3 a stream"},
		} {
			d := newDesk(t, route.Options{MaxReplayBytes: 7, Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
			d.own(2, 3)
			d.answersFrom(2, test.how)
			r := httptest.NewRequestWithContext(t.Context(), "PUT", "/k", struct{ io.Reader }{strings.NewReader("a stream")})
			require.EqualValues(t, -1, r.ContentLength)
			w := httptest.NewRecorder()
			d.router.ServeHTTP(w, r)
			require.Contains(t, w.Body.String(), test.want, test.name)
			time.Sleep(2 * time.Second)
		}
	})
}

func TestBodiesThatAreTooLongToKeepAreStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			most  int64
			again bool
		}{{8, true}, {7, false}, {-1, false}} {
			d := newDesk(t, route.Options{MaxReplayBytes: test.most, Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
			d.own(2, 3)
			d.answersFrom(2, breaks)
			w, _ := d.ask(t.Context(), "PUT", "12345678")
			require.Equal(t, test.again, w.Code == 200, "%d", test.most)
		}
	})
}

func TestBodiesThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		d.own(2)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/k", iotest.ErrReader(io.ErrUnexpectedEOF))
		w := httptest.NewRecorder()
		d.router.ServeHTTP(w, r)
		requireGaveUp(t, w, 400, wire.Body, "cannot be read")

		w = httptest.NewRecorder()
		r = httptest.NewRequestWithContext(t.Context(), "POST", "/k", strings.NewReader("too long"))
		r.Body = http.MaxBytesReader(w, r.Body, 3)
		d.router.ServeHTTP(w, r)
		requireGaveUp(t, w, 413, wire.BodyTooLarge, "more than 3 bytes")
		require.Equal(t, "n2:1 n2:1", d.paths())
	})
}

func TestWrapSeesEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var spans []string
		d := newDesk(t, route.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
			return wrapped(func(r *http.Request) (*http.Response, error) {
				spans = append(spans, r.URL.Host)
				return next.RoundTrip(r)
			})
		}})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		w, _ := d.ask(t.Context(), "GET", "")
		require.Equal(t, "n3", w.Body.String())
		require.Equal(t, []string{"n2:1", "n3:1"}, spans)
	})
}

// TestAConnectionThatWasClosedMeanwhile costs nothing, not even a POST: the next one is
// taken as long as nothing was written.
func TestAConnectionThatWasClosedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name  string
			stale int
			wrote bool
			want  int
		}{
			{"three connections are stale", 3, false, 200},
			{"all of them are", 1000, false, 503},
			{"the request was written", 1, true, 502},
		} {
			d := newDesk(t, route.Options{Patience: option.None})
			d.own(2)
			left := test.stale
			d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
				trace := httptrace.ContextClientTrace(r.Context())
				trace.GotConn(httptrace.GotConnInfo{Reused: true})
				if left--; left < 0 {
					trace.WroteHeaders()
					return answers("n2")(r)
				}
				if test.wrote {
					trace.WroteHeaders()
				}
				return nil, errors.New("the connection was closed")
			})
			w, took := d.ask(t.Context(), "POST", "v")
			require.Equal(t, test.want, w.Code, "%s: %s", test.name, w.Body)
			require.Zero(t, took)
			if test.want == 200 {
				require.Equal(t, "n2 v", w.Body.String())
				require.Zero(t, d.router.Stats().Retries)
			}
		}
	})
}

// TestWithoutAConnectionTheNextOwner: the pool's connections are busy, or the address
// swallows what is sent to it.
func TestWithoutAConnectionTheNextOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
		d.own(2, 3)
		d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GetConn("n2:1")
			return freezes(r)
		})
		w, took := d.ask(t.Context(), "POST", "v")
		require.Equal(t, "n3 v", w.Body.String())
		require.Equal(t, 2*time.Second, took)
		require.EqualValues(t, 1, d.router.Stats().Unreachable.SameZone)
		w, took = d.ask(t.Context(), "POST", "v")
		require.Equal(t, "n3 v", w.Body.String())
		require.Zero(t, took, "the address is avoided")

		// A connection came at the last moment: the request may have been sent.
		time.Sleep(2 * time.Second)
		d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GetConn("n2:1")
			<-r.Context().Done()
			trace.GotConn(httptrace.GotConnInfo{})
			trace.WroteHeaders()
			return nil, r.Context().Err()
		})
		w, _ = d.ask(t.Context(), "POST", "v")
		requireGaveUp(t, w, 502, api.RefusalBroken, "may have run")
	})
}
