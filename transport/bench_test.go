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
)

// discard is a writer that costs nothing, so that the handler is what is
// measured.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func benchHandler(b *testing.B) http.Handler {
	c := newFake(b)
	c.view.Ring = build(b, rebalance.Rendezvous{}, 4096, nodes...)
	return newHandler(c)
}

func BenchmarkLookup(b *testing.B) {
	h := benchHandler(b)
	r := httptest.NewRequest(http.MethodGet, "/v1/lookup?key=user:42", nil)
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func BenchmarkBatch(b *testing.B) {
	for _, count := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("keys=%d", count), func(b *testing.B) {
			h := benchHandler(b)
			var request transport.BatchRequest
			for i := range count {
				request.Keys = append(request.Keys, fmt.Sprintf("user:%d", i))
			}
			body, err := json.Marshal(request)
			require.NoError(b, err)
			r := httptest.NewRequest(http.MethodPost, "/v1/lookup", nil)
			r.Header.Set("Content-Type", "application/json")
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(body))
				h.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/key")
		})
	}
}

// BenchmarkGuardedLookup is BenchmarkLookup behind a token and both limits.
func BenchmarkGuardedLookup(b *testing.B) {
	c := newFake(b)
	c.view.Ring = build(b, rebalance.Rendezvous{}, 4096, nodes...)
	g := newGuard(b, transport.GuardOptions{
		Tokens: tokens(), PerClient: transport.RateLimit{PerSecond: 1e6, Burst: 1e6}, Overall: transport.RateLimit{PerSecond: 1e6, Burst: 1e6},
	})
	h := makeHandler(c, transport.HandlerOptions{Middleware: []transport.Middleware{g.Wrap}})
	r := httptest.NewRequest(http.MethodGet, "/v1/lookup?key=user:42", nil)
	r.Header.Set("Authorization", "Bearer "+readToken)
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
