package grpcroute

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
)

// link is one connection of NewClient: its resolver, its interceptors, and the network
// connections that it has.
type link struct {
	router *Router
	turn   atomic.Uint64 // counts calls without a key, to take peers in turn
	table  atomic.Pointer[table]
	marks  marks
	began  time.Time

	mu    sync.Mutex
	conns map[net.Conn]dialed
}

// dialed says to which address a connection was made, and when by the clock of the link.
type dialed struct {
	addr string
	at   time.Duration
}

func newLink(r *Router) *link {
	return &link{router: r, conns: make(map[net.Conn]dialed), began: time.Now()}
}

// now returns the time since the link began, which does not change when the clock is set.
func (l *link) now() time.Duration { return time.Since(l.began) }

// unary sends a unary call until it is answered, or must not be sent again.
func (l *link) unary(ctx context.Context, method string, request, answer any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	o := readOptions(options)
	c, err := l.newCall(ctx, method, request, o.waits)
	if err != nil {
		return o.ended(err)
	}
	l.router.budget.Deposit()
	if c.hedges(answer) {
		return o.ended(c.sendHedged(answer, o.all, func(ctx context.Context, answer any, options []grpc.CallOption) error {
			return invoke(ctx, method, request, answer, cc, options...)
		}))
	}
	return o.ended(c.send(func(ctx context.Context) error {
		return invoke(ctx, method, request, answer, cc, o.all...)
	}))
}

// send sends a unary call until it is answered, or must not be sent again.
func (c *call) send(invoke func(context.Context) error) error {
	for {
		err := invoke(c.first())
		if err == nil || !c.repeats(err) {
			return err
		}
		if err := c.exhausted(); err != nil {
			return err
		}
	}
}

// stream opens a stream. gRPC sends it again after a refusal, with the messages that it
// has kept, as long as no answer has begun.
func (l *link) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	l.router.budget.Deposit()
	waits := readOptions(options).waits
	opened := func(request any) (grpc.ClientStream, error) {
		c, err := l.newCall(ctx, method, request, waits)
		if err != nil {
			return nil, err
		}
		s, err := open(c.first(), desc, cc, method, options...)
		if err != nil {
			return nil, err
		}
		return &stream{ClientStream: s, call: c}, nil
	}
	if _, keyed := keyOf(ctx); keyed || desc.ClientStreams || l.router.options.Key == nil {
		return opened(nil)
	}
	return &late{ctx: ctx, open: opened, begun: make(chan struct{})}, nil
}

// stream is a stream that was opened.
type stream struct {
	grpc.ClientStream
	call   *call
	gaveUp bool
}

// RecvMsg is a method of grpc.ClientStream.
func (s *stream) RecvMsg(m any) error { return s.explain(s.ClientStream.RecvMsg(m)) }

// Trailer is a method of grpc.ClientStream.
func (s *stream) Trailer() metadata.MD { return withoutOurs(s.ClientStream.Trailer()) }

// explain returns the error of a stream. One that was refused, and that gRPC does not send again, ends
// with the status of the refusal: gRPC has not kept all messages, or an interceptor has sent a header.
func (s *stream) explain(err error) error {
	if err == nil || status.Code(err) != refusal || !isRefusal(s.ClientStream.Trailer(), s.call.number) {
		return err
	}
	if !s.gaveUp {
		s.gaveUp = true
		s.call.link.router.counts.gaveUp.Add(1)
	}
	return &notRun{"grpcroute: the member that was asked has refused, as views differ, and gRPC cannot send the stream again, after many messages or after a header from the server: the call has not run"}
}

// late is a stream of answers to one request. It is opened with the request, in which the
// key is. Until then it has nothing to receive: what receives waits, as one goroutine may
// receive while another one sends.
type late struct {
	ctx  context.Context
	open func(request any) (grpc.ClientStream, error)

	begin  sync.Once
	begun  chan struct{} // closed when stream and failed are set
	stream grpc.ClientStream
	failed error // to open
}

// opened opens the stream, once. Without a request its caller has sent none.
func (s *late) opened(request any) (grpc.ClientStream, error) {
	s.begin.Do(func() {
		s.stream, s.failed = s.open(request)
		close(s.begun)
	})
	return s.stream, s.failed
}

// wait waits until the stream is opened.
func (s *late) wait() (grpc.ClientStream, error) {
	select {
	case <-s.begun:
		return s.stream, s.failed
	case <-s.ctx.Done():
		return nil, status.FromContextError(s.ctx.Err()).Err()
	}
}

// now returns the stream, or nil when it is not open.
func (s *late) now() grpc.ClientStream {
	select {
	case <-s.begun:
		return s.stream
	default:
		return nil
	}
}

// SendMsg is a method of grpc.ClientStream.
func (s *late) SendMsg(request any) error {
	stream, err := s.opened(request)
	if err != nil {
		return err
	}
	return stream.SendMsg(request)
}

// CloseSend is a method of grpc.ClientStream.
func (s *late) CloseSend() error {
	stream, err := s.opened(nil)
	if err != nil {
		return err
	}
	return stream.CloseSend()
}

// RecvMsg is a method of grpc.ClientStream.
func (s *late) RecvMsg(m any) error {
	stream, err := s.wait()
	if err != nil {
		return err
	}
	return stream.RecvMsg(m)
}

// Header is a method of grpc.ClientStream.
func (s *late) Header() (metadata.MD, error) {
	stream, err := s.wait()
	if err != nil {
		return nil, err
	}
	return stream.Header()
}

// Trailer is a method of grpc.ClientStream.
func (s *late) Trailer() metadata.MD {
	if stream := s.now(); stream != nil {
		return stream.Trailer()
	}
	return nil
}

// Context is a method of grpc.ClientStream.
func (s *late) Context() context.Context {
	if stream := s.now(); stream != nil {
		return stream.Context()
	}
	return s.ctx
}

// dial connects to a member.
func (l *link) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := l.router.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if _, plain := conn.(*net.TCPConn); !plain {
		conn = &tracked{conn, l}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for old := range l.conns {
		// gRPC gets a TCP connection as it is: it treats no other type so, and sets TCP_USER_TIMEOUT on it. So
		// nothing tells when it is closed.
		if direct.IsClosed(old) {
			delete(l.conns, old)
		}
	}
	l.conns[conn] = dialed{addr, l.now()}
	return conn, nil
}

// tracked is a connection of another type, which leaves the link when it is closed.
type tracked struct {
	net.Conn
	link *link
}

// Close is a method of net.Conn.
func (t *tracked) Close() error {
	t.link.mu.Lock()
	delete(t.link.conns, t)
	t.link.mu.Unlock()
	return t.Conn.Close()
}

// cut closes the connections to the address of a process that has failed, as far as they were made before a time.
// Without that the calls there would wait for answers for as long as TCP does.
func (l *link) cut(addr string, before time.Duration) {
	var cut []io.Closer
	l.mu.Lock()
	for conn, d := range l.conns {
		if d.addr == addr && d.at < before {
			cut = append(cut, conn)
		}
	}
	l.mu.Unlock()
	for _, conn := range cut {
		_ = conn.Close()
	}
}
