package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
)

// road is a round tripper without a network: a function for every address.
type road struct {
	mu   sync.Mutex
	to   map[string]func(*http.Request) (*http.Response, error)
	used []string // addresses, in order
}

func (d *road) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.used = append(d.used, r.URL.Host)
	to := d.to[r.URL.Host]
	d.mu.Unlock()
	return to(r)
}

func answers(text string) wrapped {
	return func(r *http.Request) (*http.Response, error) {
		body := text
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			body += " " + string(b)
		}
		w := httptest.NewRecorder()
		_, _ = io.WriteString(w, body)
		return w.Result(), nil
	}
}

func refuses(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set(transport.RefusedHeader, "orders kv nx")
	w.WriteHeader(http.StatusMisdirectedRequest)
	return w.Result(), nil
}

func unreachable(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

func breaks(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return nil, io.ErrUnexpectedEOF
}

// desk is a router of n1 in virtual time, among members that road makes up: n2
// is in its zone, n3 in its region, n4 elsewhere.
type desk struct {
	t *testing.T
	*seen
	*road
	router  *transport.Router
	members []membership.Member
}

func newDesk(t *testing.T, o transport.RouterOptions) *desk {
	d := &desk{t: t, seen: newSeen("n1"), road: &road{to: make(map[string]func(*http.Request) (*http.Response, error))}}
	for i, place := range []string{"eu/a", "eu/a", "eu/b", "us/c"} {
		id := "n" + strconv.Itoa(i+1)
		region, zone, _ := strings.Cut(place, "/")
		d.members = append(d.members, membership.Member{
			ID: id, Region: region, Zone: zone, Start: membership.Start{Number: 1}, Services: map[string]string{"kv": id + ":1"},
		})
		d.to[id+":1"] = answers(id)
	}
	o.Service, o.Key, o.Logger, o.Transport = "kv", byPath, quiet(), d.road
	var err error
	d.router, err = transport.NewRouter(d, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "n1")
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			_, _ = io.WriteString(w, " "+string(body))
		}
	}), o)
	require.NoError(t, err)
	return d
}

// own makes members of these numbers the owners of everything.
func (d *desk) own(numbers ...int) {
	f := fleet{t: d.t, members: d.members}
	d.set(f.owned(numbers...), d.members)
}

// answersFrom makes an address answer otherwise.
func (d *desk) answersFrom(member int, how func(*http.Request) (*http.Response, error)) {
	d.road.mu.Lock()
	defer d.road.mu.Unlock()
	d.to["n"+strconv.Itoa(member)+":1"] = how
}

// ask sends a request and returns the answer and how long it took.
func (d *desk) ask(ctx context.Context, method, body string, headers ...string) (*httptest.ResponseRecorder, time.Duration) {
	r := httptest.NewRequestWithContext(ctx, method, "/k", nil)
	if body != "" {
		r = httptest.NewRequestWithContext(ctx, method, "/k", strings.NewReader(body))
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w, began := httptest.NewRecorder(), time.Now()
	d.router.ServeHTTP(w, r)
	return w, time.Since(began)
}

// paths forgets and returns the addresses that were used.
func (d *desk) paths() string {
	d.road.mu.Lock()
	defer d.road.mu.Unlock()
	used := strings.Join(d.used, " ")
	d.used = nil
	return used
}

func requireGaveUp(t *testing.T, w *httptest.ResponseRecorder, status int, kind, detail string) {
	t.Helper()
	requireFailure(t, reply{w.Code, w.Header()}, w.Body.String(), status, kind)
	require.Contains(t, w.Body.String(), detail)
}

func TestRefusedRequestsWaitForTheView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2)
		d.answersFrom(2, refuses)
		time.AfterFunc(300*time.Millisecond, func() { d.own(4) })
		w, took := d.ask(t.Context(), "POST", "v")
		require.Equal(t, "n4 v", w.Body.String())
		require.Equal(t, 300*time.Millisecond, took, "at the very moment")
		stats := d.router.Stats()
		require.EqualValues(t, 1, stats.Attempts[transport.Answered][transport.Remote])
		require.Equal(t, stats.Attempts[transport.Refused][transport.SameZone], stats.Retries)
		require.Less(t, stats.Retries, uint64(8))
	})
}

func TestRefusedRequestsWaitForTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{Retries: transport.RetryBudget{Burst: 1, PerRequest: -1, PerSecond: -1}})
		d.own(2)
		d.answersFrom(2, refuses)
		time.AfterFunc(400*time.Millisecond, func() { d.answersFrom(2, answers("n2")) })
		w, took := d.ask(t.Context(), "POST", "v")
		require.Equal(t, "n2 v", w.Body.String(), "though this member's view has not changed, and without the budget")
		require.Less(t, took, 400*time.Millisecond+500*time.Millisecond)
		require.Zero(t, d.router.Stats().OverBudget)
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		d.answersFrom(3, refuses)
		w, took := d.ask(t.Context(), "POST", "v")
		requireGaveUp(t, w, 503, transport.ProblemNoOwner, "the request has not run")
		require.Equal(t, time.Second, took)

		d = newDesk(t, transport.RouterOptions{Patience: -1})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		d.answersFrom(3, refuses)
		w, took = d.ask(t.Context(), "GET", "")
		requireGaveUp(t, w, 503, transport.ProblemNoOwner, "0 could not be reached, 2 times one refused")
		require.Zero(t, took)
		require.Equal(t, "n2:1 n3:1", d.paths(), "each once")
	})
}

func TestSpuriousSignalsAreNoReasonToAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2)
		d.answersFrom(2, refuses)
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					d.signal()
				}
			}
		}()
		w, took := d.ask(t.Context(), "POST", "v")
		close(done)
		requireGaveUp(t, w, 503, transport.ProblemNoOwner, "within 1s")
		require.Equal(t, time.Second, took)
		require.Less(t, d.router.Stats().Retries, uint64(9), "a signal a millisecond")
	})
}

func TestMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{MaxAttempts: 3})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		d.answersFrom(3, refuses)
		w, _ := d.ask(t.Context(), "GET", "")
		requireGaveUp(t, w, 503, transport.ProblemNoOwner, "it was sent 3 times")
		require.Equal(t, "n2:1 n3:1 n2:1", d.paths())
	})
}

// TestThisMemberBecomesTheOwner while a request waits: its own handler gets it,
// body and all.
func TestThisMemberBecomesTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2)
		d.answersFrom(2, unreachable)
		time.AfterFunc(500*time.Millisecond, func() { d.own(1) })
		w, took := d.ask(t.Context(), "POST", "the body")
		require.Equal(t, "n1 the body", w.Body.String())
		require.Equal(t, 500*time.Millisecond, took)
		require.NotEmpty(t, w.Header().Get(transport.TokenHeader))
		require.EqualValues(t, 1, d.router.Stats().Attempts[transport.Answered][transport.Local])
		require.Zero(t, d.router.Stats().GaveUp)
	})
}

// TestTheDeadAreNotAskedAgain until they have restarted: with enough patience a
// write outlasts the crash of its primary, and costs one attempt and no token.
func TestTheDeadAreNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{Patience: 10 * time.Second, Retries: transport.RetryBudget{Burst: 1, PerRequest: -1, PerSecond: -1}})
		d.own(2, 3)
		d.answersFrom(2, unreachable)
		time.AfterFunc(3*time.Second, func() { d.own(2, 4) }) // something else happens
		time.AfterFunc(6*time.Second, func() { d.own(3, 4) })
		for range 2 {
			d.own(2, 3)
			w, took := d.ask(t.Context(), "POST", "v")
			require.Equal(t, "n3 v", w.Body.String())
			require.LessOrEqual(t, took, 6*time.Second)
			require.Equal(t, "n2:1 n3:1", d.paths())
			time.AfterFunc(6*time.Second, func() { d.own(3, 4) })
		}

		// The same NodeID at the same address, but another start of it.
		d.own(2, 3)
		time.AfterFunc(2*time.Second, func() {
			d.answersFrom(2, answers("n2 again"))
			d.members = slices.Clone(d.members) // the others are published
			d.members[1].Start.Number++
			d.own(2, 3)
		})
		w, took := d.ask(t.Context(), "POST", "v")
		require.Equal(t, "n2 again v", w.Body.String())
		require.Equal(t, 2*time.Second, took)
	})
}

// TestUnreachableMembersAreAvoided for a second, and then tried by one request
// while the others still avoid them.
func TestUnreachableMembersAreAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2, 3)
		d.answersFrom(2, unreachable)
		d.ask(t.Context(), "GET", "")
		require.Equal(t, "n2:1 n3:1", d.paths())
		d.ask(t.Context(), "GET", "")
		require.Equal(t, "n3:1", d.paths())
		d.ask(t.Context(), "POST", "")
		require.Equal(t, "n2:1", d.paths(), "nobody else may take a write")

		time.Sleep(2 * time.Second)
		d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Millisecond)
			return unreachable(r)
		})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { d.ask(t.Context(), "GET", "") })
			synctest.Wait()
		}
		all.Wait()
		require.Equal(t, 1, strings.Count(d.paths(), "n2:1"), "of ten, one")

		time.Sleep(2 * time.Second)
		d.answersFrom(2, answers("n2"))
		for range 3 {
			d.ask(t.Context(), "GET", "")
		}
		require.Equal(t, "n2:1 n2:1 n2:1", d.paths(), "it is back")
	})
}

func TestTheBudgetBoundsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{Retries: transport.RetryBudget{Burst: 3, PerRequest: 0.25, PerSecond: 0.5}})
		d.own(2, 3)
		d.answersFrom(2, breaks)
		outcomes := func(n int) (well int) {
			for range n {
				w, took := d.ask(t.Context(), "GET", "")
				require.Zero(t, took)
				if w.Code == 200 {
					well++
					continue
				}
				requireGaveUp(t, w, 502, transport.ProblemBroken, "too many requests are being sent again already")
			}
			return well
		}
		require.Equal(t, 3, outcomes(3), "the burst")
		require.Equal(t, 10, outcomes(40), "a quarter of the requests")
		time.Sleep(4 * time.Second)
		require.Equal(t, 4, outcomes(8), "two of time, and a quarter")
		require.EqualValues(t, 34, d.router.Stats().OverBudget)
		require.EqualValues(t, 34, d.router.Stats().GaveUp)
		require.EqualValues(t, 17, d.router.Stats().Retries)
	})
}

func TestDeadlinesEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2)
		d.answersFrom(2, refuses)
		w, took := d.ask(t.Context(), "POST", "v", transport.TimeoutHeader+": 150")
		requireGaveUp(t, w, 504, transport.ProblemDeadline, "may have run")
		require.Equal(t, 150*time.Millisecond, took)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		w, took = d.ask(ctx, "POST", "v")
		require.Equal(t, 503, w.Code)
		require.Equal(t, 100*time.Millisecond, took)
	})
}

func TestDeadlinesTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2)
		var got string
		d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
			got = r.Header.Get(transport.TimeoutHeader)
			if got == "" {
				return answers("n2")(r)
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond+time.Microsecond)
		defer cancel()
		w, took := d.ask(ctx, "GET", "")
		require.Equal(t, "1501", got, "the caller's context, rounded up")
		requireGaveUp(t, w, 504, transport.ProblemDeadline, "")
		require.Equal(t, 1500*time.Millisecond+time.Microsecond, took)

		// Of two the nearer counts; it can be asked for from outside.
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, took = d.ask(ctx, "GET", "", transport.TimeoutHeader+": 20")
		require.Equal(t, "20", got)
		require.Equal(t, 20*time.Millisecond, took)
		require.EqualValues(t, 2, d.router.Stats().Attempts[transport.Canceled][transport.SameZone])

		for _, nonsense := range []string{"soon", "-1", "1e3", "86400001", "99999999999999999999", "1, 2"} {
			w, took = d.ask(t.Context(), "GET", "", transport.TimeoutHeader+": "+nonsense)
			require.Equal(t, 200, w.Code, nonsense)
			require.Empty(t, got, "it is not passed on")
			require.Zero(t, took)
		}

		// The receiver bounds its handler.
		d.own(1)
		var left time.Duration
		router, err := transport.NewRouter(d, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			deadline, _ := r.Context().Deadline()
			left = time.Until(deadline)
		}), transport.RouterOptions{Service: "kv", Key: byPath, Transport: d.road})
		require.NoError(t, err)
		call(router, "GET", "/k", "", transport.TimeoutHeader+": 700", transport.ForwardedHeader+": orders kv n2")
		require.Equal(t, 700*time.Millisecond, left)
	})
}

func TestWhatIsSentAgain(t *testing.T) {
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
		{"an upgrade that went nowhere", "GET", []string{"Connection: Upgrade", "Upgrade: websocket"}, unreachable, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, transport.RouterOptions{Policy: func(*http.Request) transport.Policy { return transport.PrimaryFirst }})
				d.own(2, 3)
				d.answersFrom(2, test.how)
				w, _ := d.ask(t.Context(), test.method, "the body", test.headers...)
				if test.again {
					require.Equal(t, "n3 the body", w.Body.String())
					require.Equal(t, "n2:1 n3:1", d.paths())
					return
				}
				requireGaveUp(t, w, 502, transport.ProblemBroken, "may have run")
				require.Equal(t, "n2:1", d.paths())
			})
		})
	}
}

// TestOnceBrokenAlwaysBroken: what may have run at the first member may have run,
// whatever the second says.
func TestOnceBrokenAlwaysBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2, 3)
		d.answersFrom(2, breaks)
		d.answersFrom(3, unreachable)
		w, _ := d.ask(t.Context(), "GET", "")
		requireGaveUp(t, w, 502, transport.ProblemBroken, "may have run")
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
			}, "the request has not run"},
			{"some of it was read", breaks, "may have run"},
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
			d := newDesk(t, transport.RouterOptions{Policy: func(*http.Request) transport.Policy { return transport.PrimaryFirst }})
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
			d := newDesk(t, transport.RouterOptions{MaxReplayBytes: test.most, Policy: func(*http.Request) transport.Policy { return transport.PrimaryFirst }})
			d.own(2, 3)
			d.answersFrom(2, breaks)
			w, _ := d.ask(t.Context(), "PUT", "12345678")
			require.Equal(t, test.again, w.Code == 200, "%d", test.most)
		}
	})
}

func TestBodiesThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, transport.RouterOptions{})
		d.own(2)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/k", strings.NewReader("short"))
		r.ContentLength = 10
		w := httptest.NewRecorder()
		d.router.ServeHTTP(w, r)
		requireGaveUp(t, w, 400, transport.ProblemBody, "cannot be read")

		w = httptest.NewRecorder()
		r = httptest.NewRequestWithContext(t.Context(), "POST", "/k", strings.NewReader("too long"))
		r.Body = http.MaxBytesReader(w, r.Body, 3)
		d.router.ServeHTTP(w, r)
		requireGaveUp(t, w, 413, transport.ProblemBodyTooLarge, "more than 3 bytes")
		require.Empty(t, d.paths())
	})
}

func TestWrapSeesEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var spans []string
		d := newDesk(t, transport.RouterOptions{Wrap: func(next http.RoundTripper) http.RoundTripper {
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

type wrapped func(*http.Request) (*http.Response, error)

func (w wrapped) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }
