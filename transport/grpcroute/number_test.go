package grpcroute_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// numbers are the numbers of the marks that have arrived at a server.
type numbers struct {
	mu  sync.Mutex
	all []string
}

func (n *numbers) note(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, mark := range metadata.ValueFromIncomingContext(ctx, "clusterkit-route") {
		n.all = append(n.all, mark[13:24])
	}
}

// list returns the numbers in the order of their arrival.
func (n *numbers) list() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all)
}

func (n *numbers) last() string { return n.list()[len(n.list())-1] }

// note makes a member serve at another address, and returns the numbers that arrive there.
func (f *fleet) note(member int) *numbers {
	n, s := new(numbers), f.stations[member-1]
	f.members[member-1].Services["kv"] = f.serve(s, append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			n.note(ctx)
			return next(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			n.note(stream.Context())
			return next(server, stream)
		}),
	}, s.router.ServerOptions()...)...)
	return n
}

// TestAHandlerThatKnowsTheNumber of a mark cannot refuse its call: its answer is passed on,
// and it runs once.
func TestAHandlerThatKnowsTheNumber(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	arrived := f.note(2)
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	refusal := status.Error(codes.Unimplemented, "of the handler")
	f.stations[1].answers(func(ctx context.Context, _, _ string) (string, error) {
		if err := grpc.SetTrailer(ctx, metadata.Pairs("clusterkit-refused", arrived.last())); err != nil {
			return "", err
		}
		return "", refusal
	})
	f.stations[1].streams(func(_ string, s grpc.ServerStream) error {
		s.SetTrailer(metadata.Pairs("clusterkit-refused", arrived.last()))
		return refusal
	})
	_, err := invoke(t.Context(), conn, set, "a")
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Equal(t, 1, f.stations[1].ran("a"))

	s := open(t, conn, chat)
	require.NoError(t, s.CloseSend())
	_, err = receive(s)
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Equal(t, 1, f.stations[1].ran(chat))
	require.Zero(t, f.stations[0].router.Stats().Refused.SameRegion)
}

// TestNumbersOfMarks: another one takes the place of a number that a refusal has returned.
// No two members get the same one.
func TestNumbersOfMarks(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = -1 }, "eu/a", "eu/b", "eu/c")
	second, third := f.note(2), f.note(3)
	f.agree(nil, 2)
	f.believe(2, 3)
	conn := f.client(f.stations[0].router)
	for range 2 {
		var trailer metadata.MD
		_, err := invoke(t.Context(), conn, put, "a", grpc.Trailer(&trailer))
		require.ErrorIs(t, err, grpcroute.ErrNotRun)
		require.Equal(t, []string{second.last()}, trailer.Get("clusterkit-refused"))
	}
	refused := second.list()
	require.Len(t, refused, 2)
	require.NotEqual(t, refused[0], refused[1])

	f.agree(nil, 2)
	for range 2 {
		_, err := invoke(t.Context(), conn, put, "a")
		require.NoError(t, err)
	}
	require.NotContains(t, second.list()[2:], refused[1])
	f.agree(nil, 3)
	bubble.Eventually(t, time.Minute, "the other member answers", func() error { // the client learns of its view in the background
		_, err := invoke(t.Context(), conn, put, "a")
		return err
	})
	require.NotContains(t, second.list(), third.last())
}
