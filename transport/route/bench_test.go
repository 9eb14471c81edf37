//go:build unix

package route_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// benchFleet makes three members in three zones, with a real ring and an answer of one
// KiB. Every request to n1 for the returned path goes to n2.
func benchFleet(b *testing.B) (f *fleet, path string) {
	answer := make([]byte, 1<<10)
	f = newFleet(b, nil, nil, "eu/a", "eu/b", "eu/c")
	var all []ring.Node
	for i, s := range f.stations {
		all = append(all, ring.Node{ID: s.id, Region: "eu", Zone: f.members[i].Zone, Weight: 1})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, all)
	require.NoError(b, err)
	for _, s := range f.stations {
		// This handler does not store requests, as the one of the fleet does.
		router, err := route.New(s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(answer)
		}), route.Options{Service: "kv", Key: byPath, Logger: testkit.Quiet(), Policy: func(*http.Request) route.Policy { return route.PrimaryOnly }})
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, router.Close()) })
		s.put(router)
		s.set(r, f.members)
	}
	for i := 0; ; i++ {
		path = fmt.Sprintf("/user:%d", i)
		if primary, _ := r.Lookup(path[1:]).Primary(); primary.ID() == "n2" {
			return f, path
		}
	}
}

// bareProxy is a ReverseProxy to one target that only forwards. It uses buffers again,
// like the router; without that it is slower.
func bareProxy(target *url.URL, over http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: over, BufferPool: &benchBuffers{sync.Pool{New: func() any { return make([]byte, 32<<10) }}},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.SetXForwarded()
		},
	}
}

type benchBuffers struct{ sync.Pool }

func (b *benchBuffers) Get() []byte  { return b.Pool.Get().([]byte) }
func (b *benchBuffers) Put(c []byte) { b.Pool.Put(c) } //nolint:staticcheck // a header's allocation is cheap beside the rest

// BenchmarkRouterAgainstReverseProxy sends the same requests to the same target over
// pools of the same kind: through a router, whose target is a router too, and through a
// bare httputil.ReverseProxy, in turns of some tens of milliseconds. It reports three
// figures, each the median of all pairs of turns: the throughput of the router as a
// fraction of the proxy's; the latency that the router adds to a request; and its
// processor time, with callers and targets, as a fraction of the proxy's. Other work on
// the machine disturbs the last figure least.
func BenchmarkRouterAgainstReverseProxy(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b.Run(fmt.Sprintf("%s/callers=%d", method, callers), func(b *testing.B) {
				compareWithProxy(b, method, callers)
			})
		}
	}
}

func compareWithProxy(b *testing.B, method string, callers int) {
	f, path := benchFleet(b)
	answer := make([]byte, 1<<10)
	bareTarget := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(answer)
	}))
	defer bareTarget.Close()
	target, err := url.Parse(bareTarget.URL)
	require.NoError(b, err)
	pool, err := client.NewPool(client.PoolOptions{Logger: testkit.Quiet()})
	require.NoError(b, err)
	defer func() { _ = pool.Close() }()
	bare := httptest.NewServer(bareProxy(target, pool))
	defer bare.Close()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	ways := []string{bare.URL + path, f.url(1, path)}
	var latencies [2][]time.Duration
	var busy [2]time.Duration
	run := func(way, requests int) time.Duration {
		var all sync.WaitGroup
		times := make([][]time.Duration, callers)
		began, used := time.Now(), processorTime(b)
		for caller := range callers {
			all.Go(func() {
				for range (requests + callers - 1) / callers {
					sent := time.Now()
					r, err := http.NewRequestWithContext(b.Context(), method, ways[way], nil)
					if err != nil {
						panic(err)
					}
					response, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
					if response.StatusCode != http.StatusOK {
						b.Error(response.Status)
						return
					}
					times[caller] = append(times[caller], time.Since(sent))
				}
			})
		}
		all.Wait()
		took := time.Since(began)
		busy[way] += processorTime(b) - used
		latencies[way] = append(latencies[way], slices.Concat(times...)...)
		return took
	}
	for way := range ways {
		run(way, 10*callers) // connections
	}
	latencies, busy = [2][]time.Duration{}, [2]time.Duration{}

	b.ResetTimer()
	const turn = 400
	var ratios []float64
	for done, i := 0, 0; done < b.N; i++ {
		n := min(turn, b.N-done)
		var took [2]time.Duration
		took[i%2] = run(i%2, n) // the order of the two must not matter
		took[1-i%2] = run(1-i%2, n)
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
		done += n
	}
	b.StopTimer()
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-proxy-throughput")
	b.ReportMetric(busy[1].Seconds()/busy[0].Seconds(), "of-proxy-cpu")
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		var v [2]time.Duration
		for way := range latencies {
			slices.Sort(latencies[way])
			v[way] = latencies[way][int(q.at*float64(len(latencies[way])-1))]
		}
		b.ReportMetric(float64((v[1]-v[0]).Nanoseconds())/1e3, "added-µs-"+q.name)
	}
	b.ReportMetric(0, "ns/op") // ns/op is of both ways together, and has no meaning
}

// BenchmarkRoundTripperAgainstTransport sends the same requests to servers of the same answer:
// through a round tripper to a router, and through a bare http.Transport, in turns. The bare
// one sends to a bare handler, which measures what both sides cost, or to the same router,
// which measures the cost of the caller's side with the mark. It reports the throughput of the round tripper as a fraction of the transport's, and
// its processor time with that of the server, each as the median of all pairs of turns.
func BenchmarkRoundTripperAgainstTransport(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		for _, to := range []string{"handler", "router"} {
			b.Run(fmt.Sprintf("to=%s/callers=%d", to, callers), func(b *testing.B) { compareWithTransport(b, to, callers) })
		}
	}
}

func compareWithTransport(b *testing.B, to string, callers int) {
	f, path := benchFleet(b)
	answer := make([]byte, 1<<10)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	defer bare.Close()
	target := bare.URL + path
	if to == "router" {
		target = f.url(2, path)
	}
	rt, err := route.NewRoundTripper(f.stations[0], route.Options{Service: "kv", Key: byPath, Logger: testkit.Quiet()})
	require.NoError(b, err)
	defer func() { _ = rt.Close() }()
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	defer transport.CloseIdleConnections()
	ways := []struct {
		over http.RoundTripper
		url  string
	}{{transport, target}, {rt, "http://kv" + path}}
	run := func(way, requests int) (took, busy time.Duration) {
		var all sync.WaitGroup
		began, used := time.Now(), processorTime(b)
		for range callers {
			all.Go(func() {
				for range (requests + callers - 1) / callers {
					r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, ways[way].url, nil)
					if err != nil {
						panic(err)
					}
					response, err := ways[way].over.RoundTrip(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
		}
		all.Wait()
		return time.Since(began), processorTime(b) - used
	}
	for way := range ways {
		run(way, 10*callers) // connections
	}
	b.ResetTimer()
	const turn = 400
	var throughput, busy []float64
	for done, i := 0, 0; done < b.N; i++ {
		n := min(turn, b.N-done)
		var took, used [2]time.Duration
		took[i%2], used[i%2] = run(i%2, n) // the order of the two must not matter
		took[1-i%2], used[1-i%2] = run(1-i%2, n)
		throughput = append(throughput, took[0].Seconds()/took[1].Seconds())
		busy = append(busy, used[1].Seconds()/used[0].Seconds())
		done += n
	}
	b.StopTimer()
	slices.Sort(throughput)
	slices.Sort(busy)
	b.ReportMetric(throughput[len(throughput)/2], "of-transport-throughput")
	b.ReportMetric(busy[len(busy)/2], "of-transport-cpu")
	b.ReportMetric(0, "ns/op") // ns/op is of both ways together, and has no meaning
}

// BenchmarkRouterServes measures the time of a router for a request that its own member
// answers.
func BenchmarkRouterServes(b *testing.B) {
	f, path := benchFleet(b)
	router := *f.stations[1].front.Load()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	w := testkit.Discard()
	b.ReportAllocs()
	for b.Loop() {
		router.ServeHTTP(w, r)
	}
}

// BenchmarkRouterForwards measures the time of a router for a request that it forwards,
// without the network, and the part of this time that a bare ReverseProxy takes.
func BenchmarkRouterForwards(b *testing.B) {
	answer := func(r *http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {"text/plain"}}
		if r.Header[wire.ForwardedHeader] != nil {
			header[wire.AnsweredHeader] = []string{numberOf(r)}
		}
		return &http.Response{StatusCode: http.StatusOK, Header: header, Body: http.NoBody}, nil
	}
	f, path := benchFleet(b)
	router, err := route.New(f.stations[0], http.NotFoundHandler(), route.Options{
		Service: "kv", Key: byPath, Logger: testkit.Quiet(), Transport: wrapped(answer),
		Policy: func(*http.Request) route.Policy { return route.PrimaryOnly },
	})
	require.NoError(b, err)
	target := &url.URL{Scheme: "http", Host: "n2:1"}
	for name, h := range map[string]http.Handler{
		"router": router,
		"proxy":  bareProxy(target, wrapped(answer)),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
			r.Header.Set("User-Agent", "bench")
			r.Header.Set("Accept-Encoding", "gzip")
			b.ReportAllocs()
			for b.Loop() {
				w := testkit.Discard()
				h.ServeHTTP(w, r)
			}
		})
	}
}

// processorTime returns the processor time that this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
