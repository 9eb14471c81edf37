//go:build unix

// Package throughput compares calls of a client of a router with calls of a plain client. It is a
// package of its own because the number of header fields of a call matters: a program that imports a
// compressor of gRPC, as other tests do, sends one more.
package throughput

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
	"github.com/clusterkit/clusterkit/transport/route"
)

// workload is what the calls of a comparison have in common.
type workload struct {
	callers int  // that call at the same time
	keys    int  // of different partitions, unless they are very many
	fields  int  // of the header of a plain call; gRPC itself sends 7
	router  bool // the plain client calls the server of the router, not one without interceptors
}

// BenchmarkAgainstPickFirst sends the same unary calls through a client of a router, and through a
// plain client with pick_first to one address, in turns. It reports the throughput of the router as a
// fraction of the other's, and its processor time with that of the server, each as the median of all
// pairs of turns. Other work on the machine disturbs the second figure least.
//
// The mark of a call is one more field of its header. It costs least as the eighth field. From the ninth on
// the server of gRPC allocates a larger map and a larger slice, for any field of any caller. HPACK
// sends the mark of one key as an index. Of very many keys, each replaces another in the table of HPACK.
func BenchmarkAgainstPickFirst(b *testing.B) {
	for _, w := range []workload{
		{callers: 1, keys: 1, fields: 7},
		{callers: 16, keys: 1, fields: 7},
		{callers: 64, keys: 1, fields: 7},
		{callers: 16, keys: 1, fields: 7, router: true},
		{callers: 16, keys: 1, fields: 8},
		{callers: 16, keys: 1, fields: 9},
		{callers: 16, keys: 1024, fields: 7},
	} {
		name := fmt.Sprintf("callers=%d/keys=%d/fields=%d", w.callers, w.keys, w.fields)
		if w.router {
			name += "/to=router"
		}
		b.Run(name, func(b *testing.B) { compare(b, w) })
	}
}

func compare(b *testing.B, w workload) {
	caller, plain, keys := start(b, w)
	background := b.Context()
	for i := range w.fields - 7 {
		background = metadata.AppendToOutgoingContext(background, fmt.Sprint("of-the-caller-", i), "the same in each call")
	}
	request := wrapperspb.String(strings.Repeat("k", 1<<10))
	run := func(routed bool, calls int) cost {
		var all sync.WaitGroup
		before := costs(b)
		for i := range w.callers {
			all.Go(func() {
				answer := new(wrapperspb.StringValue)
				for call := range (calls + w.callers - 1) / w.callers {
					conn, ctx := plain, background
					if routed {
						conn, ctx = caller, grpcroute.WithKey(background, keys[(call*w.callers+i)%len(keys)])
					}
					if err := conn.Invoke(ctx, put, request, answer); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return costs(b).since(before)
	}
	turn := max(400, 2*w.keys) // so that no key is always new to the caches of the processor
	run(false, turn)
	run(true, turn)
	b.ResetTimer()
	var throughput, busy, objects, bytes []float64
	for done, i := 0, 0; done < b.N; i++ {
		n := min(turn, b.N-done)
		routedFirst := i%2 == 1 // the order of the two must not matter
		of, routed := run(routedFirst, n), run(!routedFirst, n)
		if routedFirst {
			of, routed = routed, of
		}
		throughput = append(throughput, of.time/routed.time)
		busy = append(busy, routed.processor/of.processor)
		objects = append(objects, (routed.objects-of.objects)/float64(n))
		bytes = append(bytes, (routed.bytes-of.bytes)/float64(n))
		done += n
	}
	b.StopTimer()
	b.ReportMetric(median(throughput), "of-pick-first-throughput")
	b.ReportMetric(median(busy), "of-pick-first-cpu")
	b.ReportMetric(median(objects), "more-allocs/call")
	b.ReportMetric(median(bytes), "more-B/call")
	b.ReportMetric(0, "ns/op") // of both ways together: it has no meaning
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// start starts a server of the member n2, and returns the client of a router of n1, a plain client,
// and keys of n2.
func start(b *testing.B, w workload) (caller, plain *grpc.ClientConn, keys []string) {
	var nodes []ring.Node
	for _, id := range []string{"n1", "n2", "n3"} {
		nodes = append(nodes, ring.Node{ID: id, Region: "eu", Zone: id, Weight: 1})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, nodes)
	require.NoError(b, err)
	here, there := &cluster{view: route.View{ClusterName: "orders", NodeID: "n1", Version: 1, Ring: r}}, new(cluster)
	for _, n := range nodes {
		here.view.Members = append(here.view.Members, membership.Member{ID: n.ID, Region: n.Region, Zone: n.Zone, State: membership.Active})
	}
	there.view = here.view
	there.view.NodeID = "n2"
	server, err := grpcroute.New(there, grpcroute.Options{Service: "kv"})
	require.NoError(b, err)
	addr := serve(b, server.ServerOptions()...)
	here.view.Members[1].Services = map[string]string{"kv": addr}
	client, err := grpcroute.New(here, grpcroute.Options{Service: "kv", Method: func(string) grpcroute.Method { return grpcroute.Method{} }})
	require.NoError(b, err)
	caller, err = client.NewClient(grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	b.Cleanup(func() { _ = caller.Close() })

	if !w.router {
		addr = serve(b)
	}
	plain, err = grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	b.Cleanup(func() { _ = plain.Close() })
	for i := 0; len(keys) < w.keys; i++ {
		key := fmt.Sprintf("user:%d", i)
		if primary, _ := r.Lookup(key).Primary(); primary.ID() == "n2" {
			keys = append(keys, key)
		}
	}
	return caller, plain, keys
}

// cluster is a route.Cluster whose view does not change.
type cluster struct{ view route.View }

func (c *cluster) View() route.View         { return c.view }
func (c *cluster) Changed() <-chan struct{} { return nil }

const put = "/test.KV/Put"

// serve starts a server with one method, which answers at once, and returns its address.
func serve(b *testing.B, options ...grpc.ServerOption) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := grpc.NewServer(options...)
	answer := wrapperspb.String("done")
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.KV",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Put",
			Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
				request := new(wrapperspb.StringValue)
				if err := decode(request); err != nil || intercept == nil {
					return answer, err
				}
				return intercept(ctx, request, &grpc.UnaryServerInfo{FullMethod: put}, func(context.Context, any) (any, error) { return answer, nil })
			},
		}},
	}, nil)
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(listener) })
	b.Cleanup(func() {
		server.Stop()
		ended.Wait()
	})
	return listener.Addr().String()
}

// cost is what the process has used so far, or during a turn: seconds, and what it has allocated.
type cost struct{ time, processor, objects, bytes float64 }

var epoch = time.Now()

func costs(b *testing.B) cost {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return cost{
		time.Since(epoch).Seconds(), time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds(),
		float64(memory.Mallocs), float64(memory.TotalAlloc),
	}
}

func (c cost) since(before cost) cost {
	return cost{c.time - before.time, c.processor - before.processor, c.objects - before.objects, c.bytes - before.bytes}
}
