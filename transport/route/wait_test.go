package route_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

func TestRefusedRequestsWaitForTheView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		d.own(2)
		d.answersFrom(2, refuses)
		time.AfterFunc(300*time.Millisecond, func() { d.own(4) })
		w, took := d.ask(t.Context(), "POST", "v")
		require.Equal(t, "n4 v", w.Body.String())
		require.Equal(t, 300*time.Millisecond, took, "at the very moment")
		stats := d.router.Stats()
		require.EqualValues(t, 1, stats.Answered.Remote)
		require.Equal(t, stats.Refused.SameZone, stats.Retries)
		require.Less(t, stats.Retries, uint64(8))
	})
}

func TestRefusedRequestsWaitForTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{RetryBurst: 1, RetriesPerRequest: option.None, RetriesPerSecond: option.None})
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
		d := newDesk(t, route.Options{})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		d.answersFrom(3, refuses)
		w, took := d.ask(t.Context(), "POST", "v")
		requireGaveUp(t, w, 503, api.RefusalNoOwner, "the request has not run")
		require.Equal(t, time.Second, took)

		d = newDesk(t, route.Options{Patience: option.None})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		d.answersFrom(3, refuses)
		w, took = d.ask(t.Context(), "GET", "")
		requireGaveUp(t, w, 503, api.RefusalNoOwner, "0 could not be reached, 2 times one refused")
		require.Zero(t, took)
		require.Equal(t, "n2:1 n3:1", d.paths(), "each once")
	})
}

func TestSpuriousSignalsAreNoReasonToAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
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
		requireGaveUp(t, w, 503, api.RefusalNoOwner, "within 1s")
		require.Equal(t, time.Second, took)
		require.Less(t, d.router.Stats().Retries, uint64(9), "a signal a millisecond")
	})
}

func TestMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{MaxAttempts: 3})
		d.own(2, 3)
		d.answersFrom(2, refuses)
		d.answersFrom(3, refuses)
		w, _ := d.ask(t.Context(), "GET", "")
		requireGaveUp(t, w, 503, api.RefusalNoOwner, "it was sent 3 times")
		require.Equal(t, "n2:1 n3:1 n2:1", d.paths())
	})
}

// TestThisMemberBecomesTheOwner while a request waits: its own handler gets it,
// body and all.
func TestThisMemberBecomesTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		d.own(2)
		d.answersFrom(2, unreachable)
		time.AfterFunc(500*time.Millisecond, func() { d.own(1) })
		w, took := d.ask(t.Context(), "POST", "the body")
		require.Equal(t, "n1 the body", w.Body.String())
		require.Equal(t, 500*time.Millisecond, took)
		require.NotEmpty(t, w.Header().Get(api.TokenHeader))
		require.EqualValues(t, 1, d.router.Stats().Answered.Local)
		require.Zero(t, d.router.Stats().GaveUp)
	})
}

// TestTheDeadAreNotAskedAgain until they have restarted: with enough patience a
// write outlasts the crash of its primary, and costs one attempt and no token.
func TestTheDeadAreNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{Patience: 10 * time.Second, RetryBurst: 1, RetriesPerRequest: option.None, RetriesPerSecond: option.None})
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
		d := newDesk(t, route.Options{})
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
		d := newDesk(t, route.Options{RetryBurst: 3, RetriesPerRequest: 0.25, RetriesPerSecond: 0.5})
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
				requireGaveUp(t, w, 502, api.RefusalBroken, "too many requests are being sent again already")
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
		d := newDesk(t, route.Options{})
		d.own(2)
		d.answersFrom(2, refuses)
		w, took := d.ask(t.Context(), "POST", "v", api.TimeoutHeader+": 150")
		requireGaveUp(t, w, 504, api.RefusalDeadline, "may have run")
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
		d := newDesk(t, route.Options{})
		d.own(2)
		var got string
		d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
			got = r.Header.Get(api.TimeoutHeader)
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
		requireGaveUp(t, w, 504, api.RefusalDeadline, "")
		require.Equal(t, 1500*time.Millisecond+time.Microsecond, took)

		// Of two the nearer counts; it can be asked for from outside.
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, took = d.ask(ctx, "GET", "", api.TimeoutHeader+": 20")
		require.Equal(t, "20", got)
		require.Equal(t, 20*time.Millisecond, took)
		require.EqualValues(t, 2, d.router.Stats().Canceled.SameZone)

		for _, nonsense := range []string{"soon", "-1", "1e3", "86400001", "99999999999999999999", "1, 2"} {
			w, took = d.ask(t.Context(), "GET", "", api.TimeoutHeader+": "+nonsense)
			require.Equal(t, 200, w.Code, nonsense)
			require.Empty(t, got, "it is not passed on")
			require.Zero(t, took)
		}

		// The receiver bounds its handler.
		d.own(1)
		var left time.Duration
		router, err := route.New(d, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			deadline, _ := r.Context().Deadline()
			left = time.Until(deadline)
		}), route.Options{Service: "kv", Key: byPath, Transport: d.road})
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodGet, "/k", nil)
		r.Header.Set(api.TimeoutHeader, "700")
		r.Header.Set(wire.ForwardedHeader, markOf("n1"))
		router.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, 700*time.Millisecond, left)
	})
}
