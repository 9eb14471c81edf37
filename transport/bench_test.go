package transport_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func benchHandler(b *testing.B) http.Handler {
	c := testkit.NewCluster(b)
	c.Shown.Ring = testkit.Build(b, rebalance.Rendezvous{}, 4096, testkit.Nodes...)
	return testkit.NewHandler(c)
}

func BenchmarkLookup(b *testing.B) {
	h := benchHandler(b)
	r := httptest.NewRequest(http.MethodGet, "/v1/lookup?key=user:42", nil)
	w := testkit.Discard()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func BenchmarkBatch(b *testing.B) {
	for _, count := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("keys=%d", count), func(b *testing.B) {
			h := benchHandler(b)
			var request struct {
				Keys []string `json:"keys"`
			}
			for i := range count {
				request.Keys = append(request.Keys, fmt.Sprintf("user:%d", i))
			}
			body, err := json.Marshal(request)
			require.NoError(b, err)
			r := httptest.NewRequest(http.MethodPost, "/v1/lookup", nil)
			r.Header.Set("Content-Type", "application/json")
			w := testkit.Discard()
			b.ReportAllocs()
			require.Equal(b, 200, call(h, "POST", "/v1/lookup", string(body)).Code)
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(body))
				h.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/key")
		})
	}
}

// BenchmarkGuardedLookup is BenchmarkLookup with a guard that has tokens and both
// limits.
func BenchmarkGuardedLookup(b *testing.B) {
	c := testkit.NewCluster(b)
	c.Shown.Ring = testkit.Build(b, rebalance.Rendezvous{}, 4096, testkit.Nodes...)
	g := testkit.NewGuard(b, transport.GuardOptions{
		Tokens: testkit.Tokens(), PerClient: transport.RateLimit{PerSecond: 1e6, Burst: 1e6}, Overall: transport.RateLimit{PerSecond: 1e6, Burst: 1e6},
	})
	h := testkit.MakeHandler(c, transport.HandlerOptions{Middleware: []func(http.Handler) http.Handler{g.Wrap}})
	r := httptest.NewRequest(http.MethodGet, "/v1/lookup?key=user:42", nil)
	r.Header.Set("Authorization", "Bearer "+testkit.ReadToken)
	w := testkit.Discard()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
