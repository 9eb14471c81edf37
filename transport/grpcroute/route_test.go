package grpcroute_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

func listener(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// TestCallsReachTheOwner: writes go to the primary, and reads to the owner in the zone of the
// caller, of a member and of an observer.
func TestCallsReachTheOwner(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "eu/c", "us/d")
	o, observer := f.observer("eu/c", nil)
	f.agree([]*seen{o}, 2, 3, 4)
	member := f.client(f.stations[1].router)
	for _, c := range []struct {
		conn         *grpc.ClientConn
		method, want string
	}{{observer, put, "n2"}, {observer, get, "n3"}, {member, get, "n2"}, {member, put, "n2"}, {f.client(f.stations[0].router), put, "n2"}} {
		// A read goes elsewhere while the connection to the nearest owner takes long.
		got := ""
		bubble.Eventually(t, time.Minute, "the owner is connected", func() (err error) {
			if got, err = invoke(t.Context(), c.conn, c.method, "a"); err == nil && got != c.want && c.method == get {
				err = errors.New(got + " answered")
			}
			return err
		})
		require.Equal(t, c.want, got, c.method)
	}
}

// TestStreamsReachTheOwner: both kinds of streams go to the primary.
func TestStreamsReachTheOwner(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	require.Equal(t, []string{"n2 a"}, talk(t, conn, watch, "a"))
	require.Equal(t, []string{"n2 a", "n2 b"}, talk(t, conn, chat, "a", "b"))
}

// open opens a stream with the key k.
func open(t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	s, err := conn.NewStream(grpcroute.WithKey(t.Context(), "k"), &grpc.StreamDesc{ServerStreams: true, ClientStreams: method == chat}, method)
	require.NoError(t, err)
	return s
}

// talk sends requests over a stream, and returns the answers.
func talk(t *testing.T, conn *grpc.ClientConn, method string, requests ...string) (answers []string) {
	t.Helper()
	s := open(t, conn, method)
	for _, request := range requests {
		require.NoError(t, s.SendMsg(wrapperspb.String(request)))
	}
	require.NoError(t, s.CloseSend())
	for {
		answer, err := receive(s)
		if errors.Is(err, io.EOF) {
			return answers
		}
		require.NoError(t, err)
		answers = append(answers, answer)
	}
}

// TestKeyOfACall: Options.Key finds the key in the request, also of a stream of answers, or
// in the metadata. WithKey comes before it.
func TestKeyOfACall(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	f := newFleet(t, func(o *grpcroute.Options) {
		o.Key = func(c grpcroute.Call) (key string, ok bool) {
			if m, ok := c.Request.(*wrapperspb.StringValue); ok {
				key = m.GetValue()
			} else if values := c.Metadata.Get("user"); len(values) > 0 {
				key = values[0]
			}
			mu.Lock()
			keys = append(keys, c.FullMethod+" "+key)
			mu.Unlock()
			return key, key != ""
		}
	}, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	answer := new(wrapperspb.StringValue)
	require.NoError(t, conn.Invoke(t.Context(), put, wrapperspb.String("x"), answer))
	require.Equal(t, "n2", answer.GetValue())
	_, err := invoke(t.Context(), conn, put, "not asked for")
	require.NoError(t, err)

	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, watch)
	require.NoError(t, err)
	require.NoError(t, s.SendMsg(wrapperspb.String("y")))
	require.NoError(t, s.CloseSend())
	got, err := receive(s)
	require.NoError(t, err)
	require.Equal(t, "n2 y", got)
	_, err = receive(s)
	require.ErrorIs(t, err, io.EOF)

	ctx := metadata.AppendToOutgoingContext(t.Context(), "user", "z")
	s, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, chat)
	require.NoError(t, err)
	require.NoError(t, s.CloseSend())
	_, err = receive(s)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []string{put + " x", watch + " y", chat + " z"}, keys)
}

// TestAStreamThatIsReadBeforeItIsSent: one goroutine may receive from a stream while another one sends. The stream
// is opened with the request, in which the key is, whichever of the two comes first.
func TestAStreamThatIsReadBeforeItIsSent(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) {
		o.Key = func(c grpcroute.Call) (key string, ok bool) {
			m, ok := c.Request.(*wrapperspb.StringValue)
			return m.GetValue(), ok
		}
	}, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	for range 20 {
		s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, watch)
		require.NoError(t, err)
		answers := make(chan string, 1)
		go func() {
			_, _ = s.Header()
			answer, err := receive(s)
			answers <- fmt.Sprint(answer, " ", err)
		}()
		require.NotNil(t, s.Context())
		require.NoError(t, s.SendMsg(wrapperspb.String("y")))
		require.NoError(t, s.CloseSend())
		require.Equal(t, "n2 y <nil>", <-answers)
	}

	ctx, cancel := context.WithCancel(t.Context())
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, watch)
	require.NoError(t, err)
	cancel()
	_, err = receive(s)
	require.Equal(t, codes.Canceled, status.Code(err), "%v", err)
	require.Empty(t, s.Trailer())
}

// TestMetadataOfTheCaller arrives, with a mark and without one from the first attempt.
func TestMetadataOfTheCaller(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	f.stations[1].answers(func(ctx context.Context, _, _ string) (string, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		return strings.Join(md.Get("user"), ","), nil
	})
	for range 3 { // the first call waits for a connection
		for _, c := range []struct {
			ctx  context.Context
			want string
		}{
			{t.Context(), ""},
			{withMetadata(t.Context(), "user", "a", "user", "b"), "a,b"},
			{metadata.NewOutgoingContext(t.Context(), metadata.Pairs("user", "c")), "c"},
		} {
			got, err := invoke(c.ctx, conn, put, "a")
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		}
	}
}

// TestARefusalIsSentOn: a caller whose view is old is refused, and finds the owner when its
// view has changed. The call runs once, and a stream is replayed.
func TestARefusalIsSentOn(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = time.Minute }, "eu/a", "eu/b", "eu/c")
	for _, c := range []struct {
		name string
		call func(conn *grpc.ClientConn) string
	}{
		{"unary", func(conn *grpc.ClientConn) string {
			got, err := invoke(t.Context(), conn, put, "a")
			require.NoError(t, err)
			return got
		}},
		{"stream", func(conn *grpc.ClientConn) string { return strings.Join(talk(t, conn, chat, "a", "b", "c"), ",") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.agree(nil, 3)
			f.believe(1, 2)
			refused := make(chan struct{}, 100)
			f.stations[1].refuses(refused)
			conn := f.client(f.stations[0].router)
			var got string
			var calling sync.WaitGroup
			calling.Go(func() { got = c.call(conn) })
			<-refused
			<-refused // the owner is asked again after a pause
			f.believe(1, 3)
			calling.Wait()
			require.Contains(t, got, "n3")
			require.Zero(t, f.stations[1].ran("a")+f.stations[1].ran(chat))
			require.Equal(t, 1, f.stations[2].ran("a")+f.stations[2].ran(chat))
			f.stations[2].forget()
		})
	}
}

// TestReadsGoOnAtOnce: a refused read goes to the next owner without a pause.
func TestReadsGoOnAtOnce(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = -1 }, "eu/a", "eu/a", "eu/b")
	f.agree(nil, 3)
	f.believe(1, 2, 3)
	got, err := invoke(t.Context(), f.client(f.stations[0].router), get, "a")
	require.NoError(t, err)
	require.Equal(t, "n3", got)
	require.Zero(t, f.stations[1].ran("a"))
}

// TestAnotherStartRefuses: a call that was meant for an earlier process, at the same
// address, does not run.
func TestAnotherStartRefuses(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = -1 }, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	f.members[1].Start = membership.Start{Number: 2}
	f.stations[1].set(f.owned(2), f.members)
	_, err := invoke(t.Context(), conn, put, "a")
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, "1 times one refused")
	require.ErrorContains(t, err, "the call is for another process than this")
	require.Zero(t, f.stations[1].ran("a"))

	f.stations[0].set(f.owned(2), f.members)
	got, err := invoke(t.Context(), f.client(f.stations[0].router), put, "b")
	require.NoError(t, err)
	require.Equal(t, "n2", got)
}

// TestAnAnswerOfAHandlerIsPassedOn: also when it looks like a refusal, or like a broken
// connection. It runs once, and its trailer arrives.
func TestAnAnswerOfAHandlerIsPassedOn(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	for _, code := range []codes.Code{codes.Unimplemented, codes.Unavailable, codes.Aborted, codes.NotFound} {
		t.Run(code.String(), func(t *testing.T) {
			f.stations[1].forget()
			f.stations[1].answers(func(ctx context.Context, _, _ string) (string, error) {
				if err := grpc.SetTrailer(ctx, metadata.Pairs("why", "a test", "clusterkit-refused", "00000000000")); err != nil {
					return "", err
				}
				return "", status.Error(code, "of the handler")
			})
			f.stations[1].streams(func(_ string, s grpc.ServerStream) error {
				s.SetTrailer(metadata.Pairs("why", "a test"))
				return status.Error(code, "of the handler")
			})
			var trailer metadata.MD
			_, err := invoke(t.Context(), conn, set, "a", grpc.Trailer(&trailer))
			require.Equal(t, code, status.Code(err))
			require.Equal(t, "of the handler", status.Convert(err).Message())
			require.NotErrorIs(t, err, grpcroute.ErrNotRun)
			require.Equal(t, []string{"a test"}, trailer.Get("why"))
			require.Equal(t, 1, f.stations[1].ran("a"))

			s := open(t, conn, chat)
			require.NoError(t, s.CloseSend())
			_, err = receive(s)
			require.Equal(t, code, status.Code(err))
			require.Equal(t, []string{"a test"}, s.Trailer().Get("why"))
			require.Equal(t, 1, f.stations[1].ran(chat))
		})
	}
}

// TestANestedCall: a handler makes a call of its own with all metadata of its request, and
// passes the refusal of that call on. The outer call runs once, and the refusal is its answer.
func TestANestedCall(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = -1 }, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 2)
	f.believe(2, 2)
	conn := f.client(f.stations[0].router)
	nested := f.client(f.stations[1].router)
	f.stations[1].answers(func(ctx context.Context, _, request string) (string, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		for name := range md {
			if strings.HasPrefix(name, "clusterkit") {
				return "", errors.New("the handler sees " + name)
			}
		}
		f.stations[1].set(f.owned(3), f.members) // the owner of the nested call refuses
		return invoke(metadata.NewOutgoingContext(ctx, md), nested, put, request)
	})
	_, err := invoke(t.Context(), conn, put, "a")
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.NotErrorIs(t, err, grpcroute.ErrNotRun)
	require.Equal(t, 1, f.stations[1].ran("a"))
}

// TestABrokenConnection: a call whose connection breaks while it runs runs once, or twice if
// it is idempotent.
func TestABrokenConnection(t *testing.T) {
	for _, c := range []struct {
		method string
		runs   int
	}{{put, 1}, {set, 2}} {
		t.Run(c.method, func(t *testing.T) {
			f := newFleet(t, func(o *grpcroute.Options) { o.Patience = time.Minute }, "eu/a", "eu/b")
			f.agree(nil, 2)
			conns := f.breakable(1)
			conn := f.client(conns.router)
			f.stations[1].answers(func(context.Context, string, string) (string, error) {
				conns.cut()
				return "n2", nil
			})
			_, err := invoke(t.Context(), conn, c.method, "a")
			require.Equal(t, codes.Unavailable, status.Code(err))
			require.NotErrorIs(t, err, grpcroute.ErrNotRun)
			require.Equal(t, c.runs, f.stations[1].ran("a"))
		})
	}
}

// TestTheBudgetBoundsSecondRuns: without a token a call does not run twice.
func TestTheBudgetBoundsSecondRuns(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conns := f.breakableWith(1, func(o *grpcroute.Options) {
		o.RetryBurst, o.RetriesPerRequest, o.RetriesPerSecond = 1, -1, -1
	})
	conn := f.client(conns.router)
	f.stations[1].answers(func(context.Context, string, string) (string, error) {
		conns.cut()
		return "n2", nil
	})
	for i, runs := range []int{2, 1} {
		request := string(rune('a' + i))
		_, err := invoke(t.Context(), conn, set, request)
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.Equal(t, runs, f.stations[1].ran(request))
	}
}

// TestNobodyAnswers: the error says that the call has not run, and why.
func TestNobodyAnswers(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = 30 * time.Millisecond }, "eu/a", "eu/b")
	conn := f.client(f.stations[0].router)
	requireNotRun := func(detail string) {
		t.Helper()
		_, err := invoke(t.Context(), conn, put, "a")
		require.ErrorIs(t, err, grpcroute.ErrNotRun)
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.ErrorContains(t, err, detail)
		s, err := conn.NewStream(grpcroute.WithKey(t.Context(), "k"), &grpc.StreamDesc{ServerStreams: true}, watch)
		require.Nil(t, s)
		require.ErrorIs(t, err, grpcroute.ErrNotRun)
	}
	requireNotRun("no member of the view answers")

	members := slices.Clone(f.members)
	members[1].Services = nil
	f.stations[0].set(f.owned(2), members)
	requireNotRun(`no owner of the key announces an address of the service "kv"`)

	f.agree(nil, 2)
	f.stations[1].server.Stop()
	requireNotRun("1 could not be reached")
}

// TestCallsWithoutAKey: active members of the nearest zone take turns. Joining and draining
// ones get none.
func TestCallsWithoutAKey(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/a", "eu/a", "eu/a")
	f.members[2].State, f.members[3].State = membership.Draining, membership.Joining
	o, conn := f.observer("eu/a", nil)
	f.agree([]*seen{o}, 3)
	got := make(map[string]int)
	// The first calls may all go to the member that is connected first.
	bubble.Eventually(t, time.Minute, "both answer", func() error {
		for range 20 {
			answer := new(wrapperspb.StringValue)
			require.NoError(t, conn.Invoke(t.Context(), put, wrapperspb.String("a"), answer))
			got[answer.GetValue()]++
		}
		if got["n1"] == 0 || got["n2"] == 0 {
			return fmt.Errorf("answers: %v", got)
		}
		return nil
	})
	require.Len(t, got, 2)
}

// TestStats counts what clients and servers have done.
func TestStats(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "us/c")
	f.agree(nil, 2, 3)
	client := f.stations[0].router
	conn := f.client(client)
	call := func() {
		_, err := invoke(t.Context(), conn, put, "a")
		require.NoError(t, err)
	}
	call()
	require.NoError(t, conn.Invoke(t.Context(), put, wrapperspb.String("no key"), new(wrapperspb.StringValue)))
	counted := client.Stats()
	require.Equal(t, "orders", counted.ClusterName)
	require.Equal(t, "kv", counted.Service)
	require.EqualValues(t, 1, counted.Answered.SameRegion)
	require.EqualValues(t, 1, counted.Unkeyed)
	require.EqualValues(t, 1, f.stations[1].router.Stats().Answered.Local)

	f.believe(2, 3) // n2 refuses until n1 knows that n3 is the primary
	arrived := make(chan struct{}, 64)
	f.stations[1].refuses(arrived)
	go func() {
		<-arrived
		f.believe(3, 3)
		f.believe(1, 3)
	}()
	call()
	counted = client.Stats()
	require.Positive(t, counted.Refused.SameRegion)
	require.Equal(t, f.stations[1].router.Stats().Refused.Local, counted.Refused.SameRegion)
	require.EqualValues(t, 1, counted.Answered.Remote)
	require.Equal(t, counted.Refused.SameRegion, counted.Retries)
	require.Zero(t, counted.GaveUp)
}

// TestReadsLeaveAMemberThatDrains: another owner answers them. Writes go on to the primary,
// which has not handed over yet.
func TestReadsLeaveAMemberThatDrains(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 2, 3)
	conn := f.client(f.stations[1].router)
	reads := func(want string) {
		t.Helper()
		bubble.Eventually(t, time.Minute, want+" answers", func() error {
			got, err := invoke(t.Context(), conn, get, "a")
			if err == nil && got != want {
				err = errors.New(got + " answered")
			}
			return err
		})
		got, err := invoke(t.Context(), conn, put, "a")
		require.NoError(t, err)
		require.Equal(t, "n2", got)
	}
	reads("n2")
	for _, state := range []membership.State{membership.Draining, membership.Leaving} {
		f.members[1].State = state
		f.agree(nil, 2, 3)
		reads("n3")
		f.members[2].State = membership.Draining
		f.agree(nil, 2, 3)
		reads("n2")
		f.members[2].State = membership.Active
	}
}
