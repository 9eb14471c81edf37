package grpcroute_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// TestAnAttemptThatEndsBeforeItsMessage: the server ends the stream of a call after its header, and
// before the caller has handed the message to gRPC. gRPC tells a balancer then that the attempt
// was a success. The call is sent again if it has not run, or may run twice.
func TestAnAttemptThatEndsBeforeItsMessage(t *testing.T) {
	// GOAWAY with no stream that was processed, or nothing
	goAway := []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		name, method string
		last         []byte // that the server sends
		code         codes.Code
	}{
		{"unprocessed", put, goAway, codes.OK},
		{"unprocessed", chat, goAway, codes.OK},
		{"broken", set, nil, codes.OK},
		{"broken", put, nil, codes.Unavailable},
		{"broken", chat, nil, codes.Unavailable},
	} {
		t.Run(c.name+c.method, func(t *testing.T) {
			f := newFleet(t, nil, "eu/a", "eu/b")
			f.agree(nil, 2)
			ends := &ending{CodecV2: encoding.GetCodecV2("proto"), ended: make(chan struct{}), last: c.last}
			router := f.router(f.stations[0].seen, func(o *grpcroute.Options) { o.Dial = ends.dial })
			conn := f.client(router, grpc.WithStatsHandler(ends), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(ends)))
			var err error
			if c.method == chat {
				s := open(t, conn, chat)
				_ = s.SendMsg(wrapperspb.String("x")) // its error is that of RecvMsg
				require.NoError(t, s.CloseSend())
				_, err = receive(s)
			} else {
				_, err = invoke(t.Context(), conn, c.method, "x")
			}
			require.Equal(t, c.code, status.Code(err), "%v", err)
			counted := router.Stats()
			if c.code == codes.OK {
				require.Equal(t, 1, f.stations[1].ran("x")+f.stations[1].ran(chat))
				require.Positive(t, counted.Retries)
				return
			}
			require.NotErrorIs(t, err, grpcroute.ErrNotRun)
			require.EqualValues(t, 1, counted.Broken.SameRegion)
			require.Zero(t, counted.Answered.SameRegion)
		})
	}
}

// ending makes connections, the first of which ends after the header of a call. It is the codec of the
// calls, which waits for that end.
type ending struct {
	encoding.CodecV2
	last  []byte
	first sync.Once
	end   sync.Once
	ended chan struct{}
}

func (e *ending) Marshal(message any) (mem.BufferSlice, error) {
	<-e.ended
	return e.CodecV2.Marshal(message)
}

func (e *ending) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *ending) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (e *ending) HandleRPC(context.Context, stats.RPCStats)                         {}
func (e *ending) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, is := s.(*stats.ConnEnd); is {
		e.end.Do(func() { close(e.ended) })
	}
}

func (e *ending) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	e.first.Do(func() {
		_ = conn.Close()
		var there net.Conn
		conn, there = net.Pipe()
		go e.serve(there)
	})
	return conn, err
}

func (e *ending) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	go func() { _, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) }() // SETTINGS
	_, _ = io.CopyN(io.Discard, conn, 24)                                // the preface
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
		if head[3] == 1 { // HEADERS
			_, _ = conn.Write(e.last)
			if e.last == nil {
				return
			}
		}
	}
}
