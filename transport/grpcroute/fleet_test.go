package grpcroute_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
	"github.com/clusterkit/clusterkit/transport/route"
)

// seen is a route.Cluster whose view a test sets.
type seen struct {
	mu      sync.Mutex
	view    route.View
	changed chan struct{}
}

func newSeen(id string) *seen {
	return &seen{view: route.View{ClusterName: "orders", NodeID: id}, changed: make(chan struct{})}
}

func (s *seen) View() route.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

func (s *seen) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// set publishes another view.
func (s *seen) set(r *ring.Ring, members []membership.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Version++
	s.view.Ring, s.view.Members = r, slices.Clone(members)
	close(s.changed)
	s.changed = make(chan struct{})
}

// The methods of the service of the tests. Their messages are strings.
const (
	get   = "/test.KV/Get"   // unary, reads
	put   = "/test.KV/Put"   // unary, writes
	set   = "/test.KV/Set"   // unary, writes, may run twice
	watch = "/test.KV/Watch" // one request, a stream of answers
	chat  = "/test.KV/Chat"  // a stream both ways
)

func method(full string) grpcroute.Method {
	switch full {
	case get:
		return grpcroute.Method{Policy: route.Nearest, Idempotent: true, Reads: true}
	case set:
		return grpcroute.Method{Policy: route.PrimaryOnly, Idempotent: true}
	default:
		return grpcroute.Method{Policy: route.PrimaryOnly}
	}
}

// station is a member that serves.
type station struct {
	*seen
	id     string
	router *grpcroute.Router
	server *grpc.Server
	addr   string
	health *health.Server // nil: none

	mu     sync.Mutex
	runs   map[string]int // how often a request has run, by its text
	told   chan<- struct{}
	unary  func(ctx context.Context, method, request string) (string, error)
	stream func(method string, s grpc.ServerStream) error
}

// ran returns how often a request has run here.
func (s *station) ran(request string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[request]
}

func (s *station) answer(ctx context.Context, method, request string) (string, error) {
	s.mu.Lock()
	s.runs[request]++
	handler := s.unary
	s.mu.Unlock()
	if handler != nil {
		return handler(ctx, method, request)
	}
	return s.id, nil
}

// forget forgets what has run.
func (s *station) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.runs)
}

// refuses sets a channel that gets a value for every call that arrives.
func (s *station) refuses(told chan<- struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = told
}

// arrives tells the channel of refuses.
func (s *station) arrives() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told != nil {
		s.told <- struct{}{}
	}
}

// answers replaces the handler of unary calls.
func (s *station) answers(h func(ctx context.Context, method, request string) (string, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unary = h
}

// streams replaces the handler of streams.
func (s *station) streams(h func(method string, s grpc.ServerStream) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = h
}

// serve is the handler of streams: it answers each request with its ID and the request,
// unless the test has set another.
func (s *station) serve(method string, stream grpc.ServerStream) error {
	s.mu.Lock()
	s.runs[method]++
	handler := s.stream
	s.mu.Unlock()
	if handler != nil {
		return handler(method, stream)
	}
	for {
		request, err := receive(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(wrapperspb.String(s.id + " " + request)); err != nil {
			return err
		}
	}
}

func receive(s interface{ RecvMsg(any) error }) (string, error) {
	var m wrapperspb.StringValue
	err := s.RecvMsg(&m)
	return m.GetValue(), err
}

// service describes the service to gRPC.
var service = grpc.ServiceDesc{
	ServiceName: "test.KV", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{unaryMethod("Get"), unaryMethod("Put"), unaryMethod("Set")},
	Streams: []grpc.StreamDesc{
		{StreamName: "Watch", ServerStreams: true, Handler: streamHandler(watch)},
		{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: streamHandler(chat)},
	},
}

func unaryMethod(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(server any, ctx context.Context, decode func(any) error, check grpc.UnaryServerInterceptor) (any, error) {
		request := new(wrapperspb.StringValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		run := func(ctx context.Context, request any) (any, error) {
			answer, err := server.(*station).answer(ctx, "/test.KV/"+name, request.(*wrapperspb.StringValue).GetValue())
			if err != nil {
				return nil, err
			}
			return wrapperspb.String(answer), nil
		}
		if check == nil {
			return run(ctx, request)
		}
		return check(ctx, request, &grpc.UnaryServerInfo{Server: server, FullMethod: "/test.KV/" + name}, run)
	}}
}

func streamHandler(method string) grpc.StreamHandler {
	return func(server any, s grpc.ServerStream) error { return server.(*station).serve(method, s) }
}

// fleet is a set of members that serve over loopback.
type fleet struct {
	t        testing.TB
	stations []*station
	members  []membership.Member
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newFleet starts the members n1, n2, ... in their places, each "region/zone".
func newFleet(t testing.TB, edit func(*grpcroute.Options), places ...string) *fleet {
	t.Helper()
	f := &fleet{t: t}
	for i, place := range places {
		id := "n" + strconv.Itoa(i+1)
		region, zone, _ := strings.Cut(place, "/")
		f.members = append(f.members, membership.Member{
			ID: id, Region: region, Zone: zone, Weight: 1, State: membership.Active, Start: membership.Start{Number: 1},
		})
		s := &station{seen: newSeen(id), id: id, runs: make(map[string]int)}
		s.router = f.router(s.seen, edit)
		f.stations = append(f.stations, s)
		f.listen(i+1, "127.0.0.1:0")
	}
	return f
}

// listen starts the server of a member at an address.
func (f *fleet) listen(number int, addr string) {
	f.t.Helper()
	s := f.stations[number-1]
	l, err := new(net.ListenConfig).Listen(f.t.Context(), "tcp", addr)
	require.NoError(f.t, err)
	s.addr = l.Addr().String()
	f.members[number-1].Services = map[string]string{"kv": s.addr}
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			s.arrives()
			return next(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			s.arrives()
			return next(server, stream)
		}),
	}, s.router.ServerOptions()...)...)
	server.RegisterService(&service, s)
	if s.health != nil {
		healthpb.RegisterHealthServer(server, s.health)
	}
	s.server = server
	f.begin(server, l)
}

// serve starts a server of a station at a new address, and returns the address.
func (f *fleet) serve(s *station, options ...grpc.ServerOption) string {
	l := listener(f.t)
	server := grpc.NewServer(options...)
	server.RegisterService(&service, s)
	f.begin(server, l)
	return l.Addr().String()
}

// begin lets a server answer at a listener until the test ends.
func (f *fleet) begin(server *grpc.Server, l net.Listener) {
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(l) })
	f.t.Cleanup(func() {
		server.Stop()
		ended.Wait()
	})
}

func (f *fleet) router(c route.Cluster, edit func(*grpcroute.Options)) *grpcroute.Router {
	f.t.Helper()
	o := grpcroute.Options{Service: "kv", Method: method, Logger: quiet()}
	if edit != nil {
		edit(&o)
	}
	r, err := grpcroute.New(c, o)
	require.NoError(f.t, err)
	return r
}

// client returns a connection of a router.
func (f *fleet) client(r *grpcroute.Router, options ...grpc.DialOption) *grpc.ClientConn {
	f.t.Helper()
	conn, err := r.NewClient(append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, conn.Close()) })
	return conn
}

// observer returns a process in a place that owns nothing, and a connection of it.
func (f *fleet) observer(place string, edit func(*grpcroute.Options)) (*seen, *grpc.ClientConn) {
	f.t.Helper()
	region, zone, _ := strings.Cut(place, "/")
	f.members = append(f.members, membership.Member{ID: "o1", Region: region, Zone: zone, State: membership.Observer})
	s := newSeen("o1")
	return s, f.client(f.router(s, edit))
}

func withMetadata(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// lists is a strategy that gives every partition the same owners, by position.
type lists struct{ order []int }

func (lists) Name() string { return "lists/1" }

func (l lists) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			table.Row(p)[i] = uint16(l.order[i])
		}
	}
	return nil
}

// owned returns a ring in which the members of these numbers own all keys, the primary
// first.
func (f *fleet) owned(numbers ...int) *ring.Ring {
	f.t.Helper()
	var order []int
	for _, n := range numbers {
		order = append(order, n-1)
	}
	var all []ring.Node
	for _, m := range f.members {
		if m.State != membership.Observer {
			all = append(all, ring.Node{ID: m.ID, Region: m.Region, Zone: m.Zone, Weight: 1})
		}
	}
	r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: len(order), Strategy: lists{order}}, all)
	require.NoError(f.t, err)
	return r
}

// agree gives all members, and the observers named, the same view.
func (f *fleet) agree(observers []*seen, numbers ...int) {
	r := f.owned(numbers...)
	for _, s := range f.stations {
		s.set(r, f.members)
	}
	for _, s := range observers {
		s.set(r, f.members)
	}
}

// believe gives one member a view of its own.
func (f *fleet) believe(member int, numbers ...int) {
	f.stations[member-1].set(f.owned(numbers...), f.members)
}

// without returns all members except one.
func (f *fleet) without(number int) []membership.Member {
	return slices.Delete(slices.Clone(f.members), number-1, number)
}

// invoke makes a unary call with the key k.
func invoke(ctx context.Context, conn *grpc.ClientConn, method, request string, options ...grpc.CallOption) (string, error) {
	answer := new(wrapperspb.StringValue)
	err := conn.Invoke(grpcroute.WithKey(ctx, "k"), method, wrapperspb.String(request), answer, options...)
	return answer.GetValue(), err
}

// breakable is a router of a member, whose connections a test can cut.
type breakable struct {
	router *grpcroute.Router
	mu     sync.Mutex
	conns  []net.Conn
}

// breakable returns a second router of a member.
func (f *fleet) breakable(member int) *breakable { return f.breakableWith(member, nil) }

func (f *fleet) breakableWith(member int, edit func(*grpcroute.Options)) *breakable {
	b := new(breakable)
	b.router = f.router(f.stations[member-1].seen, func(o *grpcroute.Options) {
		o.Patience = time.Minute
		if edit != nil {
			edit(o)
		}
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err == nil {
				b.mu.Lock()
				b.conns = append(b.conns, conn)
				b.mu.Unlock()
			}
			return conn, err
		}
	})
	return b
}

// cut closes all connections.
func (b *breakable) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.conns {
		_ = conn.Close()
	}
	b.conns = nil
}
