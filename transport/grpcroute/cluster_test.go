package grpcroute_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// lines are the connections between processes without a network, by the address of the
// server.
type lines struct {
	mu sync.Mutex
	at map[string]*bufconn.Listener
}

func (l *lines) dial(ctx context.Context, addr string) (net.Conn, error) {
	l.mu.Lock()
	to := l.at[addr]
	l.mu.Unlock()
	if to == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return to.DialContext(ctx)
}

// process is a member or an observer of a real cluster, in virtual time.
type process struct {
	*cluster.Cluster
	conn   *grpc.ClientConn
	server *grpc.Server
	ended  sync.WaitGroup
	lines  *lines
	addr   string
}

// ledger counts how often each request has run.
type ledger struct {
	mu   sync.Mutex
	runs map[string]int
}

func (l *ledger) add(request string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[request]++
}

func (l *ledger) ran(request string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[request]
}

func startProcess(t *testing.T, b *bubble.Bubble, all *lines, ran *ledger, number int, observer bool) *process {
	t.Helper()
	p := &process{lines: all, addr: fmt.Sprintf("n%d:443", number)}
	o := cluster.Options{
		ClusterName: "orders", NodeID: fmt.Sprintf("n%d", number), Zone: string("abc"[number%3]), Observer: observer,
		GossipAddr: fmt.Sprintf("10.0.0.%d:7946", number), Seeds: []string{"10.0.0.1:7946", "10.0.0.2:7946"},
		PartitionCount: 64, Gossip: membership.GossipOptions{Network: b.Net}, Logger: quiet(),
	}
	if !observer {
		o.Services = map[string]string{"kv": p.addr}
	}
	c, err := cluster.New(o)
	require.NoError(t, err)
	b.Add(c)
	p.Cluster = c
	router, err := grpcroute.New(c.Routing(), grpcroute.Options{Service: "kv", Method: method, Patience: 2 * time.Minute, Dial: all.dial, Logger: quiet()})
	require.NoError(t, err)
	if !observer {
		l := bufconn.Listen(1 << 16)
		all.mu.Lock()
		all.at[p.addr] = l
		all.mu.Unlock()
		p.server = grpc.NewServer(router.ServerOptions()...)
		s := &station{id: o.NodeID, runs: make(map[string]int)}
		s.answers(func(_ context.Context, _, request string) (string, error) {
			ran.add(request)
			time.Sleep(20 * time.Millisecond) // it takes its time, in virtual time
			return o.NodeID, nil
		})
		p.server.RegisterService(&service, s)
		p.ended.Go(func() { _ = p.server.Serve(l) })
	}
	require.NoError(t, c.Start(t.Context()))
	p.conn, err = router.NewClient(grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	return p
}

// kill ends the server of a process at once, with its connections.
func (p *process) kill() {
	p.lines.mu.Lock()
	delete(p.lines.at, p.addr)
	p.lines.mu.Unlock()
	p.server.Stop()
	p.ended.Wait()
}

// leave drains a member, stops it, and lets its server finish.
func (p *process) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Stop(t.Context()))
	p.lines.mu.Lock()
	delete(p.lines.at, p.addr)
	p.lines.mu.Unlock()
	p.server.GracefulStop()
	p.ended.Wait()
}

// TestCallsOutlastADrainAndACrash: of four members one drains and another is killed, under the
// calls of a member and of an observer. No call fails that may be sent again, and none runs
// twice that may not.
func TestCallsOutlastADrainAndACrash(t *testing.T) {
	bubble.Run(t, memnet.Options{Seed: 1, Latency: time.Millisecond}, func(t *testing.T, b *bubble.Bubble) {
		all, ran := &lines{at: make(map[string]*bufconn.Listener)}, &ledger{runs: make(map[string]int)}
		var processes []*process
		var members []*cluster.Cluster
		for number := 1; number <= 5; number++ {
			p := startProcess(t, b, all, ran, number, number == 5)
			processes, members = append(processes, p), append(members, p.Cluster)
		}
		b.Agree(members...)

		type call struct{ method, request string }
		var mu sync.Mutex
		results := make(map[call]error)
		over := make(chan struct{})
		var load sync.WaitGroup
		for _, from := range []*process{processes[0], processes[4]} {
			for worker := range 10 {
				load.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-over:
							return
						default:
						}
						c := call{[]string{put, set, put, get}[i%4], fmt.Sprintf("%s-%d-%d", from.Local().ID, worker, i)}
						ctx := grpcroute.WithKey(t.Context(), "key"+strconv.Itoa(i%50))
						err := from.conn.Invoke(ctx, c.method, wrapperspb.String(c.request), new(wrapperspb.StringValue))
						mu.Lock()
						results[c] = err
						mu.Unlock()
						time.Sleep(5 * time.Millisecond)
					}
				})
			}
		}
		time.Sleep(time.Second)
		processes[3].leave(t)
		time.Sleep(time.Second)
		b.Net.Isolate(members[2].Local().Addr)
		processes[2].kill()
		b.Agree(members[0], members[1], members[4])
		time.Sleep(time.Second)
		close(over)
		load.Wait()

		broken := 0
		for c, err := range results {
			runs := ran.ran(c.request)
			switch {
			case err == nil && c.method == put:
				require.Equal(t, 1, runs, c)
			case err == nil:
				require.Contains(t, []int{1, 2}, runs, c)
			default:
				require.Equal(t, put, c.method, "%v: %v", c, err)
				require.NotErrorIs(t, err, grpcroute.ErrNotRun)
				require.LessOrEqual(t, runs, 1, c)
				broken++
			}
		}
		require.Greater(t, len(results), 1000)
		require.LessOrEqual(t, broken, 20, "more calls than were under way at the member that was killed")
		for _, p := range processes {
			require.NoError(t, p.conn.Close())
			if p.server != nil {
				p.kill()
			}
		}
	})
}

// A client that a member refuses makes the holders of tethers look at that member, from a member and from
// an observer. Its process runs, so that it stays a member.
func TestARefusalAtAClientMakesHoldersLook(t *testing.T) {
	bubble.Run(t, memnet.Options{Seed: 1, Latency: time.Millisecond}, func(t *testing.T, b *bubble.Bubble) {
		all, ran := &lines{at: make(map[string]*bufconn.Listener)}, &ledger{runs: make(map[string]int)}
		var processes []*process
		var members []*cluster.Cluster
		for number := 1; number <= 6; number++ {
			p := startProcess(t, b, all, ran, number, number == 6)
			processes, members = append(processes, p), append(members, p.Cluster)
			defer func() {
				_ = p.conn.Close()
				if p.server != nil {
					p.kill()
				}
			}()
		}
		b.Agree(members...)
		time.Sleep(5 * time.Second) // tethers open
		looked := func() (looks uint64) {
			for _, c := range members {
				looks += c.Metrics().Gossip.Tethers.Examined
			}
			return looks
		}
		for i, from := range []*process{processes[0], processes[5]} {
			refuses := processes[3+i]
			key := ""
			for number := 0; key == ""; number++ {
				if from.Lookup(strconv.Itoa(number)).At(0).ID() == refuses.Local().ID {
					key = strconv.Itoa(number)
				}
			}
			call := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return from.conn.Invoke(grpcroute.WithKey(ctx, key), put, wrapperspb.String("x"), new(wrapperspb.StringValue))
			}
			require.NoError(t, call())
			before := looked()
			refuses.kill() // the gRPC server alone
			require.Error(t, call())
			bubble.Eventually(t, time.Second, "holders look", func() error { // gRPC dials in the background
				if looked() == before {
					return errors.New("none has looked")
				}
				return nil
			})
		}
		for _, c := range members {
			require.Len(t, c.Members(), 6)
		}
	})
}
