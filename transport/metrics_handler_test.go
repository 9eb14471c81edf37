package transport_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// requestsOf returns the counted requests by "method route", with the counts of
// HandlerStats. It leaves out counts of zero.
func requestsOf(h *transport.Handler) map[string][6]uint64 {
	counted := make(map[string][6]uint64)
	for _, r := range h.Stats().Routes {
		if r.Answers != ([6]uint64{}) {
			counted[r.Method+" "+r.Route] = r.Answers
		}
	}
	return counted
}

func TestRequestsAreCountedByRoute(t *testing.T) {
	h, g := testkit.Guarded(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	token := "Authorization: Bearer " + testkit.ReadToken
	for range 3 {
		require.Equal(t, 200, call(h, "GET", "/v1/lookup?key=k", "", token).Code)
	}
	require.Equal(t, 200, call(h, "HEAD", "/v1/lookup?key=k", "", token).Code)
	require.Equal(t, 400, call(h, "GET", "/v1/lookup", "", token).Code)
	require.Equal(t, 200, call(h, "POST", "/v1/lookup", `{"keys":["a","b","c"]}`, token).Code)
	require.Equal(t, 400, call(h, "POST", "/v1/lookup", `{"keys":["a",""]}`, token).Code)
	require.Equal(t, 405, call(h, "PUT", "/v1/lookup", "", "Authorization: Bearer "+testkit.WriteToken).Code)
	require.Equal(t, 404, call(h, "GET", "/v1/partitions/99", "", token).Code)
	require.Equal(t, 200, call(h, "GET", "/livez", "").Code)
	require.Equal(t, 404, call(h, "GET", "/nowhere", "", token).Code)
	require.Equal(t, 404, call(h, "GET", "/v1/../v1/ring", "", token).Code)
	require.Equal(t, 401, call(h, "GET", "/v1/ring", "").Code)
	require.Equal(t, map[string][6]uint64{
		"GET /v1/lookup":          {2: 4, 4: 1},
		"POST /v1/lookup":         {2: 1, 4: 1},
		"other /v1/lookup":        {4: 1},
		"GET /v1/partitions/{id}": {4: 1},
		"GET /livez":              {2: 1},
		"other none":              {4: 3}, // two unknown paths, and one that the guard refused
	}, requestsOf(h))
	s := h.Stats()
	require.Equal(t, []uint64{4, 3}, []uint64{s.Lookups, s.BatchLookups}, "what was refused was not looked up")
	require.Zero(t, s.InFlight)
	require.Equal(t, uint64(1), g.Counts().Unauthorized)
	require.Equal(t, s.Routes, h.Stats().Routes, "in a fixed order")
}

// hidden is a writer without an Unwrap method.
type hidden struct{ http.ResponseWriter }

// unwrapping is a writer with an Unwrap method.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestRequestsAreCountedBehindMiddleware(t *testing.T) {
	wrap := func(change func(w http.ResponseWriter) http.ResponseWriter) *transport.Handler {
		return testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), Middleware: []func(http.Handler) http.Handler{
			func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(change(w), r.WithContext(t.Context()))
				})
			},
		}})
	}
	open := wrap(func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{unwrapping{w}} })
	require.Equal(t, 200, call(open, "GET", "/v1/ring", "").Code)
	require.Equal(t, map[string][6]uint64{"GET /v1/ring": {2: 1}}, requestsOf(open))
	closed := wrap(func(w http.ResponseWriter) http.ResponseWriter { return hidden{w} })
	require.Equal(t, 200, call(closed, "GET", "/v1/ring", "").Code)
	require.Equal(t, map[string][6]uint64{"other none": {2: 1}}, requestsOf(closed))
}

// Requests whose handler sets no status or panics are counted as well.
func TestPanicsAreCounted(t *testing.T) {
	c := testkit.NewCluster(t)
	h := testkit.MakeHandler(c, transport.HandlerOptions{Logger: testkit.Quiet(), Middleware: []func(http.Handler) http.Handler{
		func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/begun":
					w.WriteHeader(http.StatusOK)
					panic("in the middle")
				case "/silent": // net/http says 200
				case "/early":
					w.WriteHeader(http.StatusEarlyHints)
					w.WriteHeader(http.StatusTeapot)
				case "/odd":
					w.WriteHeader(999)
				default:
					next.ServeHTTP(w, r)
				}
			})
		},
	}})
	c.Boom = "boom"
	require.Equal(t, 500, call(h, "GET", "/v1/ring", "").Code)
	require.Equal(t, 500, call(h, "GET", "/metrics", "").Code)
	c.Boom = http.ErrAbortHandler
	require.Panics(t, func() { call(h, "GET", "/v1/ring", "") })
	require.Panics(t, func() { call(h, "GET", "/begun", "") })
	for _, path := range []string{"/silent", "/early", "/odd"} {
		call(h, "GET", path, "")
	}
	require.Equal(t, map[string][6]uint64{
		"GET /v1/ring": {0: 1, 5: 1},
		"GET /metrics": {5: 1},
		"other none":   {0: 1, 2: 1, 4: 1, 5: 1},
	}, requestsOf(h))
	c.Boom = nil
	require.Equal(t, 200, call(h, "GET", "/metrics", "").Code, "it comes back")
}

// Each answer is counted between the two bounds around its duration.
func TestDurationsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), Middleware: []func(http.Handler) http.Handler{
			func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(took) // in virtual time
					next.ServeHTTP(w, r)
				})
			},
		}})
		bounds := []time.Duration{25 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, 2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second}
		var want time.Duration
		for i, bound := range bounds {
			for _, took = range []time.Duration{bound, bound + 1} {
				require.Equal(t, 200, call(h, "GET", "/v1/ring", "").Code)
				want += took
			}
			for _, r := range h.Stats().Routes {
				if r.Route == "/v1/ring" && r.Method == http.MethodGet {
					require.Equal(t, want, r.Duration)
					require.Equal(t, uint64(1), r.Durations[i+1], "above %v", bound)
				}
			}
		}
		families := text(t, gather(t, transport.NewCollector(&figures{HTTP: h.Stats()})))
		require.Contains(t, families, `route="/v1/ring",le="2.5e-05"} 1`)
		require.Contains(t, families, `route="/v1/ring",le="1"} 15`)
		require.Contains(t, families, `route="/v1/ring",le="+Inf"} 16`)
		require.Contains(t, families, `clusterkit_http_request_duration_seconds_count{cluster="",method="GET",route="/v1/ring"} 16`)
	})
}

// measured is a cluster that has figures.
type measured struct {
	*testkit.Cluster
	*figures
}

func TestMetricsRoute(t *testing.T) {
	h := testkit.NewHandler(measured{testkit.NewCluster(t), newFigures()})
	require.Equal(t, 200, call(h, "GET", "/v1/lookup?key=k", "").Code)
	w := call(h, "GET", "/metrics", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", w.Header().Get("Content-Type"))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(w.Body.String()))
	require.NoError(t, err)
	for _, name := range described(transport.NewCollector(newFigures())) {
		require.Contains(t, families, name)
	}
	require.Contains(t, w.Body.String(), `clusterkit_http_requests_total{cluster="orders",code="2xx",method="GET",route="/v1/lookup"} 1`,
		"HTTP's figures are the handler's own")
	require.NotContains(t, w.Body.String(), "go_goroutines", "nobody asked for them")
	require.NotContains(t, w.Body.String(), "promhttp")

	head := call(h, "HEAD", "/metrics", "")
	require.Equal(t, 200, head.Code)
	require.Empty(t, head.Body.String())

	plain := call(testkit.NewHandler(testkit.NewCluster(t)), "GET", "/metrics", "")
	require.Equal(t, 200, plain.Code)
	require.Contains(t, plain.Body.String(), `clusterkit_http_requests_in_flight{cluster="orders"} 1`, "this one")
	require.NotContains(t, plain.Body.String(), "clusterkit_ready", "nobody knows")
}

func TestRegisterMetrics(t *testing.T) {
	var log bytes.Buffer
	h := testkit.MakeHandler(measured{testkit.NewCluster(t), newFigures()}, transport.HandlerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	own := prometheus.NewCounter(prometheus.CounterOpts{Name: "orders_total", Help: "Orders."})
	require.NoError(t, h.RegisterMetrics(own))
	require.NoError(t, h.RegisterMetrics(transport.NewRouterCollector(newRouterOf(t))))
	require.ErrorContains(t, h.RegisterMetrics(own), "transport: registering metrics: ")
	require.ErrorContains(t, h.RegisterMetrics(prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "clusterkit_ready", Help: "Another.", ConstLabels: prometheus.Labels{"cluster": "orders"},
	})), "clusterkit_ready")
	own.Add(7)
	body := call(h, "GET", "/metrics", "").Body.String()
	require.Contains(t, body, "\norders_total 7\n")
	require.Contains(t, body, `clusterkit_router_unkeyed_total{cluster="orders",service="kv"} 1`)
	require.Empty(t, log.String())

	require.NoError(t, h.RegisterMetrics(failing{}))
	w := call(h, "GET", "/metrics", "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "\norders_total 7\n", "one that fails does not take the others along")
	require.Contains(t, log.String(), "out of order")
}

// failing is a collector that always fails.
type failing struct{}

func (failing) Describe(ch chan<- *prometheus.Desc) {
	ch <- prometheus.NewDesc("failing", "It fails.", nil, nil)
}

func (f failing) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("failing", "It fails.", nil, nil), errors.New("out of order"))
}

// Two clusters in one process share a registry.
func TestCollectorsOfTwoClusters(t *testing.T) {
	payments := newFigures()
	payments.ClusterName = "payments"
	body := text(t, gather(t, transport.NewCollector(newFigures()), transport.NewCollector(payments)))
	require.Contains(t, body, `clusterkit_ready{cluster="orders"} 1`)
	require.Contains(t, body, `clusterkit_ready{cluster="payments"} 1`)
}

// Scrapes, requests and registrations may run at the same time; no count is lost.
func TestMetricsUnderLoad(t *testing.T) {
	h := testkit.NewHandler(measured{testkit.NewCluster(t), newFigures()})
	const workers, each = 8, 50
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if w := call(h, "GET", "/v1/lookup?key=k", ""); w.Code != 200 {
					t.Error(w.Code)
				}
				if w := call(h, "GET", "/metrics", ""); w.Code != 200 {
					t.Error(w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, map[string][6]uint64{"GET /v1/lookup": {2: workers * each}, "GET /metrics": {2: workers * each}}, requestsOf(h))
	require.Zero(t, h.Stats().InFlight)
}

func BenchmarkScrape(b *testing.B) {
	h := testkit.NewHandler(measured{testkit.NewCluster(b), newFigures()})
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	w := testkit.Discard()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
