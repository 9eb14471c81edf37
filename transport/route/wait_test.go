package route_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
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

// TestThisMemberBecomesTheOwner while a request waits: its own handler gets the request
// with its body.
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

// TestTheDeadAreSeldomAskedAgain: with enough patience a write outlasts the crash of its
// primary, and costs ever rarer attempts and no token.
func TestTheDeadAreSeldomAskedAgain(t *testing.T) {
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
			require.Regexp(t, `^(n2:1 ){1,14}n3:1$`, d.paths())
			time.AfterFunc(6*time.Second, func() { d.own(3, 4) })
		}

		// The same NodeID at the same address, but another start of it.
		d.own(2, 3)
		time.AfterFunc(2*time.Second, func() {
			d.answersFrom(2, answers("n2 again"))
			d.members = slices.Clone(d.members) // the published slice must not change
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
		require.Regexp(t, `^n2:1( n2:1){3,6}$`, d.paths(), "no other owner may take a write")

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

// TestATroubleOfAMoment: the only owner that may answer is tried again within the
// patience, by one of the requests that wait for it.
func TestATroubleOfAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{RetryBurst: 1, RetriesPerRequest: option.None, RetriesPerSecond: option.None})
		d.own(2, 3)
		d.answersFrom(2, unreachable)
		time.AfterFunc(30*time.Millisecond, func() { d.answersFrom(2, answers("n2")) })
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				w, took := d.ask(t.Context(), "POST", "v")
				require.Equal(t, "n2 v", w.Body.String())
				require.LessOrEqual(t, took, 400*time.Millisecond)
			})
		}
		all.Wait()
		require.LessOrEqual(t, strings.Count(d.paths(), "n2:1"), 50+50+3)
		require.Zero(t, d.router.Stats().OverBudget)
	})
	synctest.Test(t, func(t *testing.T) { // the trouble lasts: how often it is tried does not depend on how many wait
		d := newDesk(t, route.Options{Patience: 5 * time.Minute})
		d.own(2, 3)
		d.answersFrom(2, unreachable)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				w, took := d.ask(t.Context(), "POST", "v")
				requireGaveUp(t, w, 503, api.RefusalNoOwner, "1 could not be reached")
				require.Equal(t, 5*time.Minute, took)
			})
		}
		all.Wait()
		require.LessOrEqual(t, strings.Count(d.paths(), "n2:1"), 50+5*60*2+5)
	})
}

// TestAnOwnerThatFreezes: a request does not wait for a member that has failed.
func TestAnOwnerThatFreezes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			method string
			again  bool // the member is started again, instead of gone
			want   int
		}{{"GET", false, 200}, {"PUT", true, 200}, {"POST", false, 502}} {
			d := newDesk(t, route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
			d.own(2, 3)
			d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			time.AfterFunc(2*time.Second, func() {
				d.own(2, 4) // something else happens
				time.Sleep(3 * time.Second)
				d.members = slices.Clone(d.members)
				if test.again {
					d.members[1].Start.Number++
				} else {
					d.members = slices.Delete(d.members, 1, 2)
				}
				d.set(d.View().Ring, d.members)
			})
			w, took := d.ask(t.Context(), test.method, "v")
			require.Equal(t, test.want, w.Code, "%s: %s", test.method, w.Body)
			require.Equal(t, 5*time.Second, took)
			require.EqualValues(t, 1, d.router.Stats().Broken.SameZone)
		}
	})
}

// TestAMemberThatLeavesAnswers what it was asked before, as its server ends after its membership.
func TestAMemberThatLeavesAnswers(t *testing.T) {
	for _, state := range []membership.State{membership.Leaving, membership.Away} {
		for _, known := range []bool{false, true} { // before the request
			for _, again := range []bool{false, true} { // the member is started again, instead of gone
				synctest.Test(t, func(t *testing.T) {
					d := newDesk(t, route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
					d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
						time.Sleep(5 * time.Second)
						if err := r.Context().Err(); err != nil {
							return nil, err
						}
						return answers("n2")(r)
					})
					announce := func() {
						d.members = slices.Clone(d.members)
						d.members[1].State = state
						d.own(2, 3)
					}
					d.own(2, 3)
					if known = known && state != membership.Away; known { // no request is sent to a member that is away
						announce()
					}
					time.AfterFunc(100*time.Millisecond, func() {
						if !known {
							announce()
						}
						time.Sleep(400 * time.Millisecond)
						d.members = slices.Clone(d.members)
						if again {
							d.members[1].Start.Number++
						} else {
							d.members = slices.Delete(d.members, 1, 2)
						}
						d.set(d.View().Ring, d.members)
					})
					w, took := d.ask(t.Context(), "GET", "")
					require.Equal(t, "n2", w.Body.String(), "%v", state)
					require.Equal(t, 5*time.Second, took)
					require.Equal(t, "n2:1", d.paths(), "sent once")
				})
			}
		}
	}
}

// TestAMemberThatLeavesAndFreezes: what it may have begun goes to another owner after a while, if it may run twice. What
// may not waits for the member until the deadline.
func TestAMemberThatLeavesAndFreezes(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		took   time.Duration
	}{{"GET", 200, 31 * time.Second}, {"PUT", 200, 31 * time.Second}, {"POST", 504, 2 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
			d.answersFrom(2, func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			d.members[1].State = membership.Leaving
			d.own(2, 3)
			time.AfterFunc(time.Second, func() {
				d.members = slices.Delete(slices.Clone(d.members), 1, 2)
				d.set(d.View().Ring, d.members)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			w, took := d.ask(ctx, c.method, "v")
			require.Equal(t, c.status, w.Code, "%s: %s", c.method, w.Body)
			require.Equal(t, c.took, took, c.method)
		})
	}
}

// TestAnAnswerThatHasBegunGoesOn when its member leaves.
func TestAnAnswerThatHasBegunGoesOn(t *testing.T) {
	gone := make(chan struct{})
	f := newFleet(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begun, ")
		_ = http.NewResponseController(w).Flush()
		<-gone
		_, _ = io.WriteString(w, "done")
	}, nil, "eu/a", "eu/b")
	f.agree(2)
	response, err := f.client.Get(f.url(1, "/k"))
	require.NoError(t, err)
	f.stations[0].set(f.owned(1), f.without(2))
	close(gone)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "begun, done", string(body))
}

// TestNoMemberAnnouncesTheService: the name is misspelled, here or there.
func TestNoMemberAnnouncesTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, route.Options{})
		d.own(2, 3)
		for i := range d.members {
			d.members[i].Services = map[string]string{"vk": "h:1"}
		}
		w, _ := d.ask(t.Context(), "POST", "v")
		requireGaveUp(t, w, 503, api.RefusalNoOwner, `no owner of the key announces an address of the service \"kv\"`)
		require.Empty(t, d.paths())
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

		// Of two deadlines the earlier one counts. A client can set one in the header.
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

		// The receiver limits the time of its handler.
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
