//go:build unix

package grpcroute_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
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
// caller's side with the mark. It reports the throughput of the router as a fraction of the other's,
// and its processor time with that of the server, each as the median of all pairs of turns. Other
// work on the machine disturbs the second figure least. The calls have one key, whose mark HPACK sends
// as an index, or many keys of different partitions.
func BenchmarkAgainstPickFirst(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		for _, to := range []string{"bare", "router"} {
			for _, keys := range []int{1, 1024} {
				b.Run(fmt.Sprintf("to=%s/keys=%d/callers=%d", to, keys, callers), func(b *testing.B) { compare(b, to, keys, callers) })
			}
		}
	}
}

func compare(b *testing.B, to string, many, callers int) {
	f := newFleet(b, nil, "eu/a", "eu/b", "eu/c")
	// This server has no interceptors but those of the router.
	f.members[1].Services["kv"] = f.serve(f.stations[1], f.stations[1].router.ServerOptions()...)
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
	var keys []string // of the member n2
	for i := 0; len(keys) < many; i++ {
		key := fmt.Sprintf("user:%d", i)
		if primary, _ := r.Lookup(key).Primary(); primary.ID() == "n2" {
			keys = append(keys, key)
		}
	}
	target := f.members[1].Services["kv"]
	if to == "bare" {
		target = f.serve(&station{id: "bare", runs: make(map[string]int)})
	}
	plain, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	defer func() { _ = plain.Close() }()

	request := wrapperspb.String(strings.Repeat("k", 1<<10))
	run := func(way, calls int) (took, busy time.Duration) {
		var all sync.WaitGroup
		began, used := time.Now(), processorTime(b)
		for caller := range callers {
			all.Go(func() {
				answer := new(wrapperspb.StringValue)
				for call := range (calls + callers - 1) / callers {
					var err error
					if way == 0 {
						err = plain.Invoke(b.Context(), put, request, answer)
					} else {
						err = routed.Invoke(grpcroute.WithKey(b.Context(), keys[(call*callers+caller)%len(keys)]), put, request, answer)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(began), processorTime(b) - used
	}
	run(0, 10*callers)
	run(1, 10*callers)
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
	b.ReportMetric(throughput[len(throughput)/2], "of-pick-first-throughput")
	b.ReportMetric(busy[len(busy)/2], "of-pick-first-cpu")
	b.ReportMetric(0, "ns/op") // of both ways together: it has no meaning
}

// processorTime returns the processor time that this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
