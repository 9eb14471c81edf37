package route_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// freezes accepts a request and never answers it.
func freezes(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// slow answers after a time.
func slow(by time.Duration, how wrapped) wrapped {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(by):
			return how(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

const hedgeAfter = 50 * time.Millisecond

func TestAFrozenOwnerCostsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{HedgeAfter: hedgeAfter})
		d.own(2, 3, 4)
		for member, id := range map[int]string{3: "n3", 4: "n4"} {
			d.answersFrom(member, slow(2*time.Millisecond, answers(id)))
		}
		d.answersFrom(2, freezes)
		const reads = 1000
		late := 0
		for range reads {
			w, took := d.ask(t.Context(), "GET", "")
			require.Equal(t, "n3", w.Body.String())
			require.LessOrEqual(t, took, hedgeAfter+2*time.Millisecond)
			if took > 2*time.Millisecond {
				late++
			}
			time.Sleep(3 * time.Millisecond) // virtual time: the load
		}
		require.LessOrEqual(t, late, reads/100, "the frozen owner is tried last, and by one read a second")
		stats := d.router.Stats()
		require.EqualValues(t, late, stats.Hedges)
		require.EqualValues(t, late, stats.Canceled.SameZone)
		require.EqualValues(t, reads, stats.Answered.SameRegion)
		require.Zero(t, stats.GaveUp)
	})
}

func TestWhatIsHedged(t *testing.T) {
	first := func(*http.Request) route.Policy { return route.PrimaryFirst }
	for _, test := range []struct {
		name, method, body string
		headers            []string
		options            route.Options
		second, third      wrapped // how n2 and n3 answer; n4 always does
		want               string
		status             int
		paths              string
	}{
		{"a read", "GET", "", nil, route.Options{}, slow(time.Second, answers("n2")), answers("n3"), "n3", 200, "n2:1 n3:1"},
		{"the first is faster after all", "HEAD", "", nil, route.Options{}, slow(60*time.Millisecond, answers("n2")), slow(time.Second, answers("n3")), "n2", 200, "n2:1 n3:1"},
		{"a fast read is not", "GET", "", nil, route.Options{}, slow(49*time.Millisecond, answers("n2")), answers("n3"), "n2", 200, "n2:1"},
		{"a write is not", "PUT", "v", nil, route.Options{}, slow(time.Second, answers("n2")), answers("n3"), "n2 v", 200, "n2:1"},
		{"nor a read with a body", "GET", "v", nil, route.Options{}, slow(time.Second, answers("n2")), answers("n3"), "n2 v", 200, "n2:1"},
		{"nor an upgrade", "GET", "", []string{"Connection: Upgrade", "Upgrade: websocket"}, route.Options{}, slow(time.Second, answers("n2")), answers("n3"), "n2", 200, "n2:1"},
		{"nor without the budget", "GET", "", nil, route.Options{RetryBurst: 1, RetriesPerRequest: option.None, RetriesPerSecond: option.None}, slow(time.Second, answers("n2")), answers("n3"), "n2", 200, "n2:1"},
		{"nor beyond the attempts", "GET", "", nil, route.Options{MaxAttempts: 1}, slow(time.Second, answers("n2")), answers("n3"), "n2", 200, "n2:1"},
		{"the second refuses: the third", "GET", "", nil, route.Options{}, freezes, slow(time.Second, refuses), "n4", 200, "n2:1 n3:1 n4:1"},
		{"the second cannot be reached: the third", "GET", "", nil, route.Options{}, freezes, unreachable, "n4", 200, "n2:1 n3:1 n4:1"},
		{"the second refuses, and may be the last", "GET", "", nil, route.Options{MaxAttempts: 2}, slow(time.Second, answers("n2")), refuses, "n2", 200, "n2:1 n3:1"},
		{"the first refuses late, the second freezes: the third", "GET", "", nil, route.Options{}, slow(time.Second, refuses), freezes, "n4", 200, "n2:1 n3:1 n4:1"},
		{"the second breaks: it has run once, and the first goes on", "GET", "", nil, route.Options{}, slow(time.Second, answers("n2")), breaks, "n2", 200, "n2:1 n3:1"},
		{"both refuse: the third", "GET", "", nil, route.Options{}, slow(time.Second, refuses), refuses, "n4", 200, "n2:1 n3:1 n4:1"},
		{"the first breaks late: it has run once", "GET", "", nil, route.Options{}, slow(time.Second, breaks), slow(2*time.Second, refuses), "n4", 200, "n2:1 n3:1 n4:1"},
		{"both break: it has run twice", "GET", "", nil, route.Options{}, slow(time.Second, breaks), breaks, "", 502, "n2:1 n3:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.options.HedgeAfter, test.options.Policy = hedgeAfter, first
				d := newDesk(t, test.options)
				d.own(2, 3, 4)
				if test.options.RetryBurst == 1 { // spent by another request
					d.answersFrom(2, unreachable)
					d.answersFrom(3, answers("n3"))
					d.ask(t.Context(), "GET", "")
					time.Sleep(2 * time.Second)
					d.paths()
				}
				d.answersFrom(2, test.second)
				d.answersFrom(3, test.third)
				w, _ := d.ask(t.Context(), test.method, test.body, test.headers...)
				if test.status == 502 {
					requireGaveUp(t, w, 502, api.RefusalBroken, "may have run")
				} else {
					require.Equal(t, test.status, w.Code, w.Body)
					require.Equal(t, test.want, w.Body.String())
				}
				require.Equal(t, test.paths, d.paths())
			})
		})
	}
}

// TestAHedgeEndsWithItsCaller: no attempt is left when the router has returned.
func TestAHedgeEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{HedgeAfter: hedgeAfter})
		d.own(2, 3)
		d.answersFrom(2, freezes)
		d.answersFrom(3, freezes)
		w, took := d.ask(t.Context(), "GET", "", api.TimeoutHeader+": 200")
		requireGaveUp(t, w, 504, api.RefusalDeadline, "may have run")
		require.Equal(t, 200*time.Millisecond, took)
	})
	// Over sockets: the body of the answer is read to its end, and the loser is told.
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) }) // the last request below may be hedged too
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Get("Member") == "n2" {
			<-r.Context().Done()
			end()
			return
		}
		_, _ = w.Write(make([]byte, 1<<20))
	}, func(o *route.Options) { o.HedgeAfter = time.Millisecond }, "eu/a", "eu/a", "eu/b")
	f.agree(2, 3)
	response, body := f.send(1, "GET", "/k", "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Len(t, body, 1<<20)
	<-ended
	w := httptest.NewRecorder()
	f.stations[0].router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/k", nil))
	require.Equal(t, "n3", w.Header().Get("Member"), "the loser is tried last")
}
