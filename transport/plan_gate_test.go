package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// endless is a strategy that places more than three nodes when nobody needs the table any
// more. It asks once a second.
type endless struct {
	testkit.Stairs
	entered func()
}

func (e endless) Assign(t ring.Topology, table ring.Table) error {
	if len(t.Nodes) <= 3 {
		return e.Stairs.Assign(t, table)
	}
	e.entered()
	for !t.Stopped() {
		<-time.After(time.Second)
	}
	return fmt.Errorf("stopped")
}

// endlessPlans is a handler whose plans for a fourth node take forever.
func endlessPlans(t *testing.T, entered func()) (h *transport.Handler, log *bytes.Buffer) {
	t.Helper()
	c := testkit.NewCluster(t)
	c.Shown.Ring = testkit.Build(t, endless{entered: entered}, 8, testkit.Nodes[:3]...)
	log = new(bytes.Buffer)
	return testkit.MakeHandler(c, transport.HandlerOptions{Logger: slog.New(slog.NewTextHandler(log, nil))}), log
}

// planFrom asks for a plan that takes forever.
func planFrom(ctx context.Context, h http.Handler, addr string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, requestFrom(ctx, addr, "POST", "/v1/plan", strings.NewReader(`{"add":[{"id":"n9"}]}`)))
	return w
}

// TestAPlanEndsWithItsRequest: the strategy stops, the caller that comes next has its
// turn, and the log has no line.
func TestAPlanEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := endlessPlans(t, func() {})
		for _, target := range []string{"/v1/plan", "/?change=add&id=n9"} {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan int)
			go func() {
				w := httptest.NewRecorder()
				r := requestFrom(ctx, "192.0.2.1", "POST", target, strings.NewReader(`{"add":[{"id":"n9"}]}`))
				if strings.HasPrefix(target, "/?") {
					r = requestFrom(ctx, "192.0.2.1", "GET", target, nil)
					r.Header.Set("Accept", "text/html")
				}
				h.ServeHTTP(w, r)
				ended <- w.Code
			}()
			synctest.Wait()
			require.Equal(t, 200, call(h, "GET", "/v1/lookup?key=k", "").Code)
			begun := time.Now()
			cancel()
			<-ended
			require.LessOrEqual(t, time.Since(begun), time.Second)
			require.Equal(t, 200, call(h, "POST", "/v1/plan", `{}`).Code)
			require.Zero(t, h.Stats().AnswerBytes)
		}
		require.Empty(t, log.String())
	})
}

// TestAPlanEndsByItself after 30 s, although its caller waits.
func TestAPlanEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := endlessPlans(t, func() {})
		begun := time.Now()
		w := planFrom(t.Context(), h, "192.0.2.1")
		require.Equal(t, 413, w.Code, w.Body)
		require.Contains(t, w.Body.String(), "plan-too-large")
		require.InDelta(t, 30, time.Since(begun).Seconds(), 1)
		require.Empty(t, log.String())
		<-time.After(time.Second) // the strategy asks
	})
}

// deaf is a strategy that never asks whether the table of more than three nodes is needed. It does what a
// test says.
type deaf struct {
	testkit.Stairs
	does func()
}

func (d deaf) Assign(t ring.Topology, table ring.Table) error {
	if len(t.Nodes) > 3 {
		d.does()
	}
	return d.Stairs.Assign(t, table)
}

// TestAPlanWhoseStrategyDoesNotReturn is answered in time, and the next plan has to wait until the
// strategy has returned.
func TestAPlanWhoseStrategyDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := testkit.NewCluster(t), make(chan struct{})
		c.Shown.Ring = testkit.Build(t, deaf{does: func() { <-end }}, 8, testkit.Nodes[:3]...)
		h := testkit.MakeHandler(c, transport.HandlerOptions{Logger: testkit.Quiet()})
		go func() {
			<-time.After(time.Hour)
			close(end)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		require.Equal(t, 413, planFrom(ctx, h, "192.0.2.1").Code)
		require.InDelta(t, 30, time.Since(begun).Seconds(), 1)
		require.Equal(t, 503, call(h, "POST", "/v1/plan", `{}`).Code)
		<-end
		synctest.Wait()
		require.Equal(t, 200, call(h, "POST", "/v1/plan", `{}`).Code)
		require.Zero(t, h.Stats().AnswerBytes)
	})
}

// TestAPlanWhoseStrategyExits: the goroutine that ends is not that of the request.
func TestAPlanWhoseStrategyExits(t *testing.T) {
	c := testkit.NewCluster(t)
	c.Shown.Ring = testkit.Build(t, deaf{does: runtime.Goexit}, 8, testkit.Nodes[:3]...)
	h := testkit.MakeHandler(c, transport.HandlerOptions{Logger: testkit.Quiet()})
	w := planFrom(t.Context(), h, "192.0.2.1")
	require.Equal(t, 422, w.Code)
	require.Contains(t, w.Body.String(), "the member's log says why")
	require.Equal(t, 200, call(h, "POST", "/v1/plan", `{}`).Code)
}

// TestFewPlansWait: one plan is computed at a time, four of one client are admitted and 16
// in all. A plan that has waited for 10 s is refused.
func TestFewPlansWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		entered, codes := 0, make(map[int]int)
		h, _ := endlessPlans(t, func() { mu.Lock(); entered++; mu.Unlock() })
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for client := range 5 {
			for range 5 {
				all.Go(func() {
					w := planFrom(ctx, h, fmt.Sprint("192.0.2.", client))
					mu.Lock()
					defer mu.Unlock()
					codes[w.Code]++
					if w.Code == http.StatusServiceUnavailable {
						require.Equal(t, "1", w.Header().Get("Retry-After"))
						require.Contains(t, w.Body.String(), "too-many-waiting")
					}
				})
			}
		}
		settled := func(want map[int]int) {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, want, codes)
			require.Equal(t, 1, entered)
		}
		settled(map[int]int{503: 25 - 16})
		require.Equal(t, uint64(9), h.Stats().Overloaded)
		<-time.After(10 * time.Second)
		settled(map[int]int{503: 24}) // one is computed
		<-time.After(22 * time.Second)
		settled(map[int]int{503: 24, 413: 1})
		cancel()
		all.Wait()
		require.Zero(t, h.Stats().AnswerBytes)
		<-time.After(time.Second) // the strategy asks
	})
}

// TestPlansHaveABoundOfTheirCost: partitions times members.
func TestPlansHaveABoundOfTheirCost(t *testing.T) {
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxPlanCost: 8 * 4})
	require.Equal(t, 200, call(h, "POST", "/v1/plan", `{"add":[{"id":"n8"}]}`).Code)
	w := call(h, "POST", "/v1/plan", `{"add":[{"id":"n8"},{"id":"n9"}]}`)
	require.Equal(t, 413, w.Code)
	require.Contains(t, w.Body.String(), `"detail":"8 partitions times 5 members is 40: at most 32","bound":32`)
}

// cutShort is a strategy whose request ends at its tenth question.
type cutShort struct {
	ring.RebalanceStrategy
	end func()
}

func (c cutShort) Assign(t ring.Topology, table ring.Table) error {
	if stop := t.Stop; stop != nil {
		questions := 0
		t.Stop = func() bool {
			if questions++; questions == 10 {
				c.end()
			}
			return stop()
		}
	}
	return c.RebalanceStrategy.Assign(t, table)
}

// TestAPlanOfARealStrategyEndsWithItsRequest: the request ends while the strategy is at
// work.
func TestAPlanOfARealStrategyEndsWithItsRequest(t *testing.T) {
	for _, s := range []ring.RebalanceStrategy{rebalance.Balanced{}, rebalance.Rendezvous{}, rebalance.ConsistentHash{}} {
		ctx, cancel := context.WithCancel(t.Context())
		c := testkit.NewCluster(t)
		c.Shown.Ring = testkit.Build(t, cutShort{s, cancel}, 1<<14, testkit.Nodes[:3]...)
		w := httptest.NewRecorder()
		testkit.NewHandler(c).ServeHTTP(w, requestFrom(ctx, "192.0.2.1", "POST", "/v1/plan", strings.NewReader(`{"reweight":[{"id":"n1","weight":9}]}`)))
		require.Error(t, ctx.Err(), s.Name())
		require.Equal(t, 503, w.Code, "%s: %s", s.Name(), w.Body)
	}
}
