package grpcroute_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// TestOptionsOfACallThatIsSentAgain: they are those of one call. What they return is of the
// answer.
func TestOptionsOfACallThatIsSentAgain(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = time.Minute }, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 3)
	f.believe(1, 2)
	refused := make(chan struct{}, 100)
	f.stations[1].refuses(refused)
	conn := f.client(f.stations[0].router)
	var all sync.WaitGroup
	all.Go(func() {
		<-refused
		f.believe(1, 3)
	})
	f.stations[2].answers(func(ctx context.Context, _, _ string) (string, error) {
		return "n3", errors.Join(grpc.SetHeader(ctx, metadata.Pairs("own", "1")), grpc.SetTrailer(ctx, metadata.Pairs("own", "2")))
	})
	var ends []error
	var header, trailer metadata.MD
	var from peer.Peer
	long := strings.Repeat("a", 1<<20) // gRPC does not keep that much
	got, err := invoke(t.Context(), conn, put, long, grpc.Header(&header),
		grpc.OnFinish(func(err error) { ends = append(ends, err) }), grpc.Trailer(&trailer), grpc.Peer(&from))
	all.Wait()
	require.NoError(t, err)
	require.Equal(t, "n3", got)
	require.Equal(t, []error{nil}, ends)
	require.Equal(t, []string{"1"}, header.Get("own"))
	require.Equal(t, []string{"2"}, trailer.Get("own"))
	require.Equal(t, f.stations[2].addr, from.Addr.String())
}

// TestTheTrailerOfAHandler arrives without what the router of the server has added.
func TestTheTrailerOfAHandler(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	f.stations[1].answers(func(ctx context.Context, _, _ string) (string, error) {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("own", "1"))
		return "", status.Error(codes.Unimplemented, "of the handler")
	})
	f.stations[1].streams(func(_ string, s grpc.ServerStream) error {
		s.SetTrailer(metadata.Pairs("own", "1"))
		return status.Error(codes.Unimplemented, "of the handler")
	})
	ours := func(md metadata.MD) (names []string) {
		for name := range md {
			if strings.HasPrefix(name, "clusterkit") || strings.HasPrefix(name, "grpc-retry") {
				names = append(names, name)
			}
		}
		return names
	}
	var trailer metadata.MD
	_, err := invoke(t.Context(), conn, put, "a", grpc.Trailer(&trailer))
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Equal(t, []string{"1"}, trailer.Get("own"))
	require.Empty(t, ours(trailer))
	s := open(t, conn, chat)
	require.NoError(t, s.CloseSend())
	_, err = receive(s)
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Equal(t, []string{"1"}, s.Trailer().Get("own"))
	require.Empty(t, ours(s.Trailer()))
}

// TestACallThatWaits for an owner as its caller says, not as long as Patience.
func TestACallThatWaits(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = time.Millisecond }, "eu/a", "eu/b")
	f.agree(nil, 2)
	addr := f.stations[1].addr
	f.stations[1].server.Stop()
	conn := f.client(f.stations[0].router)
	_, err := invoke(t.Context(), conn, put, "a")
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	answered := make(chan error)
	go func() {
		_, err := invoke(t.Context(), conn, put, "a", grpc.WaitForReady(true))
		answered <- err
	}()
	go func() {
		s, err := conn.NewStream(grpcroute.WithKey(t.Context(), "k"), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, chat, grpc.WaitForReady(true))
		if err == nil {
			_ = s.CloseSend()
			if _, err = receive(s); errors.Is(err, io.EOF) {
				err = nil
			}
		}
		answered <- err
	}()
	_, err = invoke(t.Context(), conn, put, "a") // some time later
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	f.listen(2, addr)
	require.NoError(t, <-answered)
	require.NoError(t, <-answered)
	require.Equal(t, 1, f.stations[1].ran("a"))

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = invoke(ctx, f.client(f.router(newSeen("o1"), nil)), put, "a", grpc.WaitForReady(true)) // without a view
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
}

// TestAStreamThatIsRefusedWhileItSends waits and is sent on like any other.
func TestAStreamThatIsRefusedWhileItSends(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = time.Minute }, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 3)
	f.believe(1, 2)
	refused := make(chan struct{}, 100)
	f.stations[1].refuses(refused)
	conn := f.client(f.stations[0].router)
	s := open(t, conn, chat)
	sent := 0
	for arrived := 0; arrived < 3; { // the second and the third time because of a send
		select {
		case <-refused:
			arrived++
		default:
			require.NoError(t, s.SendMsg(wrapperspb.String("a")))
			sent++
		}
	}
	f.believe(1, 3)
	require.NoError(t, s.CloseSend())
	for range sent {
		got, err := receive(s)
		require.NoError(t, err)
		require.Equal(t, "n3 a", got)
	}
	_, err := receive(s)
	require.ErrorIs(t, err, io.EOF)
	stats := f.stations[0].router.Stats()
	require.Equal(t, stats.Retries, stats.Refused.SameRegion)
	require.LessOrEqual(t, stats.Refused.SameRegion, uint64(10), "there are pauses")
	require.Equal(t, uint64(1), stats.Answered.SameRegion)
}

// TestAStreamOfAnUnknownMethod that its caller goes on sending is sent twice at most.
func TestAStreamOfAnUnknownMethod(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	s, err := f.client(f.stations[0].router).NewStream(
		grpcroute.WithKey(t.Context(), "k"), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.KV/None")
	for err == nil {
		err = s.SendMsg(wrapperspb.String("a"))
	}
	if errors.Is(err, io.EOF) {
		_, err = receive(s)
	}
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
	require.LessOrEqual(t, f.stations[0].router.Stats().Retries, uint64(1))
}

// TestAStreamThatIsTooLongToSendAgain says that it has not run.
func TestAStreamThatIsTooLongToSendAgain(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 3)
	f.believe(1, 2)
	s := open(t, f.client(f.stations[0].router), chat)
	var err error
	for range 10 {
		if err = s.SendMsg(wrapperspb.String(strings.Repeat("a", 300<<10))); err != nil {
			break
		}
	}
	_, err = receive(s)
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Zero(t, f.stations[1].ran(chat))
	_, err = receive(s)
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.Equal(t, uint64(1), f.stations[0].router.Stats().GaveUp)
}
