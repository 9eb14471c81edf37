package grpcroute_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// BenchmarkAgainstPickFirst sends the same unary calls through a client of a router, and through a
// plain client with pick_first to one address, in turns. The plain one calls a server without
// interceptors, which measures what both sides cost, or the same router, which measures the cost of the
// caller's side with the mark. It reports the throughput of the router as a fraction of the other,
// as the median of all pairs of turns.
func BenchmarkAgainstPickFirst(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		for _, to := range []string{"bare", "router"} {
			b.Run(fmt.Sprintf("to=%s/callers=%d", to, callers), func(b *testing.B) { compare(b, to, callers) })
		}
	}
}

func compare(b *testing.B, to string, callers int) {
	f := newFleet(b, nil, "eu/a", "eu/b", "eu/c")
	var all []ring.Node
	for _, m := range f.members {
		all = append(all, ring.Node{ID: m.ID, Region: m.Region, Zone: m.Zone, Weight: 1})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, all)
	require.NoError(b, err)
	for _, s := range f.stations {
		s.set(r, f.members)
	}
	routed := f.client(f.stations[0].router)
	key := ""
	for i := 0; ; i++ {
		key = fmt.Sprintf("user:%d", i)
		if primary, _ := r.Lookup(key).Primary(); primary.ID() == "n2" {
			break
		}
	}
	target := f.members[1].Services["kv"]
	if to == "bare" {
		target = newBare(b)
	}
	plain, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	defer func() { _ = plain.Close() }()

	request := wrapperspb.String(strings.Repeat("k", 1<<10))
	run := func(way, calls int) time.Duration {
		var all sync.WaitGroup
		began := time.Now()
		for range callers {
			all.Go(func() {
				answer := new(wrapperspb.StringValue)
				for range (calls + callers - 1) / callers {
					var err error
					if way == 0 {
						err = plain.Invoke(b.Context(), put, request, answer)
					} else {
						err = routed.Invoke(grpcroute.WithKey(b.Context(), key), put, request, answer)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	run(0, 10*callers)
	run(1, 10*callers)
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
	b.ReportMetric(ratios[len(ratios)/2], "of-pick-first-throughput")
	b.ReportMetric(0, "ns/op") // of both ways together: it has no meaning
}

// newBare starts a server without interceptors and returns its address.
func newBare(t testing.TB) string {
	f := &fleet{t: t}
	s := &station{id: "bare", runs: make(map[string]int)}
	l := listener(t)
	server := grpc.NewServer()
	server.RegisterService(&service, s)
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(l) })
	f.t.Cleanup(func() {
		server.Stop()
		ended.Wait()
	})
	return l.Addr().String()
}
