package grpcroute_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// TestAStreamLearnsThatTheKeyIsLost: its handler learns it, and the stream goes on until the
// handler ends it. New calls go to the new owner.
func TestAStreamLearnsThatTheKeyIsLost(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 2)
	f.stations[1].streams(func(_ string, s grpc.ServerStream) error {
		lost := grpcroute.Lost(s.Context())
		if _, ok := grpcroute.Routed(s.Context()); !ok {
			return errors.New("not routed")
		}
		if err := s.SendMsg(wrapperspb.String("began")); err != nil {
			return err
		}
		<-lost
		return s.SendMsg(wrapperspb.String("ends"))
	})
	conn := f.client(f.stations[0].router)
	s := open(t, conn, watch)
	require.NoError(t, s.SendMsg(wrapperspb.String("a")))
	got, err := receive(s)
	require.NoError(t, err)
	require.Equal(t, "began", got)
	f.agree(nil, 3)
	got, err = receive(s)
	require.NoError(t, err)
	require.Equal(t, "ends", got)
	_, err = receive(s)
	require.ErrorIs(t, err, io.EOF)
	got, err = invoke(t.Context(), conn, put, "b")
	require.NoError(t, err)
	require.Equal(t, "n3", got)
}

// TestACallAtAMemberThatFails ends when the member is not in the view any more. At a member
// that leaves it goes on.
func TestACallAtAMemberThatFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		state membership.State
		code  codes.Code
	}{{"fails", membership.Active, codes.Unavailable}, {"leaves", membership.Leaving, codes.OK}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t, nil, "eu/a", "eu/b", "eu/c")
			f.members[1].State = c.state
			f.agree(nil, 2)
			conn := f.client(f.stations[0].router)
			began, end := make(chan struct{}), make(chan struct{})
			f.stations[1].answers(func(context.Context, string, string) (string, error) {
				close(began)
				<-end
				return "n2", nil
			})
			failed := make(chan error)
			go func() {
				_, err := invoke(t.Context(), conn, put, "a")
				failed <- err
			}()
			<-began
			f.stations[0].set(f.owned(3), f.without(2))
			f.believe(2, 3)
			f.stations[2].set(f.owned(3), f.without(2))
			if c.code == codes.OK {
				got, err := invoke(t.Context(), conn, put, "b") // the new view is in use
				require.NoError(t, err)
				require.Equal(t, "n3", got)
				close(end)
			} else {
				defer close(end)
			}
			require.Equal(t, c.code, status.Code(<-failed))
		})
	}
}

// TestAnUnreachableOwner: a read goes to another owner, and a write says that its only owner
// could not be reached.
func TestAnUnreachableOwner(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/a", "eu/b")
	o, conn := f.observer("eu/a", nil)
	f.agree([]*seen{o}, 1, 3)
	f.stations[0].server.Stop()
	got, err := invoke(t.Context(), conn, get, "a")
	require.NoError(t, err)
	require.Equal(t, "n3", got)
	_, err = invoke(t.Context(), conn, put, "b")
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.ErrorContains(t, err, "1 could not be reached")
}

// TestABlip: a member whose server was away for a moment gets the call when it is back.
func TestABlip(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience = time.Minute }, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	_, err := invoke(t.Context(), conn, put, "a")
	require.NoError(t, err)
	addr := f.stations[1].addr
	f.stations[1].server.Stop()
	answered := make(chan error)
	go func() {
		_, err := invoke(t.Context(), conn, set, "b") // it may meet the connection that ends
		answered <- err
	}()
	f.listen(2, addr)
	require.NoError(t, <-answered)
	require.Equal(t, 1, f.stations[1].ran("b"))
}

// TestConnect: a client that is asked to connects before the first call.
func TestConnect(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router)
	conn.Connect()
	for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
		require.True(t, conn.WaitForStateChange(t.Context(), s))
	}
	// Without members it connects when there is one.
	alone := newSeen("o1")
	conn = f.client(f.router(alone, nil))
	conn.Connect()
	alone.set(f.owned(2), f.members)
	for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
		require.True(t, conn.WaitForStateChange(t.Context(), s))
	}
}

// TestCheckHealth: a server that reports that it does not serve gets no calls.
func TestCheckHealth(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/a", "eu/b")
	o, conn := f.observer("eu/a", func(o *grpcroute.Options) { o.CheckHealth, o.Patience = true, time.Minute })
	checks := health.NewServer()
	f.stations[0].health, f.stations[2].health = checks, health.NewServer()
	f.listen(1, "127.0.0.1:0")
	f.listen(3, "127.0.0.1:0")
	checks.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	f.agree([]*seen{o}, 1, 3)
	got, err := invoke(t.Context(), conn, get, "a")
	require.NoError(t, err)
	require.Equal(t, "n3", got)
	answered := make(chan string)
	go func() {
		got, _ := invoke(t.Context(), conn, put, "b")
		answered <- got
	}()
	checks.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	require.Equal(t, "n1", <-answered)
}

// TestAClientWithoutARouter gets the answer of the owner, and the name of the owner from
// others.
func TestAClientWithoutARouter(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) {
		o.Key = func(c grpcroute.Call) (string, bool) {
			values := c.Metadata.Get("key")
			return "k", len(values) > 0
		}
	}, "eu/a", "eu/b")
	f.agree(nil, 2)
	for i, want := range []codes.Code{codes.Unavailable, codes.OK} {
		conn, err := grpc.NewClient("passthrough:///"+f.stations[i].addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		answer := new(wrapperspb.StringValue)
		err = conn.Invoke(withMetadata(t.Context(), "key", "k"), put, wrapperspb.String("a"), answer)
		require.Equal(t, want, status.Code(err))
		if err != nil {
			require.ErrorContains(t, err, `the member "n2" at "`+f.stations[1].addr+`"`)
		}
		require.NoError(t, conn.Invoke(t.Context(), put, wrapperspb.String("no key"), answer))
		require.NoError(t, conn.Close())
	}
	require.Zero(t, f.stations[0].ran("a"))
}

// TestTheHealthOfAServer has no key, whatever Key returns: neither for the checks of a client, nor for
// those of an orchestrator, which would otherwise restart every member that does not own the key.
func TestTheHealthOfAServer(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) {
		o.Key = func(grpcroute.Call) (string, bool) { return "k", true }
	}, "eu/a", "eu/b")
	for i, s := range f.stations {
		s.health = health.NewServer()
		f.listen(i+1, "127.0.0.1:0")
	}
	o, conn := f.observer("eu/a", func(o *grpcroute.Options) {
		o.CheckHealth, o.Key = true, func(grpcroute.Call) (string, bool) { return "k", true }
	})
	f.agree([]*seen{o}, 2)
	probe, err := grpc.NewClient("passthrough:///"+f.stations[0].addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, probe.Close()) }()
	_, err = healthpb.NewHealthClient(probe).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)

	o.set(f.owned(1), f.members) // the views differ: this one asks n1
	_, err = invoke(t.Context(), conn, put, "a")
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.ErrorContains(t, err, "0 could not be reached")
}

// TestSameToken: with the option, both sides must know the same owners.
func TestSameToken(t *testing.T) {
	for _, same := range []bool{false, true} {
		f := newFleet(t, func(o *grpcroute.Options) { o.SameToken, o.Patience = same, option.None }, "eu/a", "eu/b", "eu/c")
		f.agree(nil, 2, 3)
		f.believe(1, 2, 1)
		_, err := invoke(t.Context(), f.client(f.stations[0].router), put, "a")
		if same {
			require.ErrorIs(t, err, grpcroute.ErrNotRun)
		} else {
			require.NoError(t, err)
		}
	}
}

// TestMoreAttemptsThanAllowed: a call ends after MaxAttempts.
func TestMoreAttemptsThanAllowed(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) { o.Patience, o.MaxAttempts = time.Minute, 3 }, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 3)
	f.believe(1, 2)
	conn := f.client(f.stations[0].router)
	told := make(chan struct{}, 100)
	f.stations[1].refuses(told)
	_, err := invoke(t.Context(), conn, put, "a")
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.ErrorContains(t, err, "it was sent 3 times")
	require.Len(t, told, 3)
	s := open(t, conn, chat)
	require.NoError(t, s.CloseSend())
	_, err = receive(s)
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.ErrorContains(t, err, "it was sent 3 times")
	require.Len(t, told, 6)
}

// TestOptions: each option that is missing or out of bounds is named.
func TestOptions(t *testing.T) {
	f := &fleet{t: t}
	_, err := grpcroute.New(nil, grpcroute.Options{Service: "kv"})
	require.ErrorContains(t, err, "the cluster is nil")
	_, err = grpcroute.New(newSeen("n1"), grpcroute.Options{
		Service: "a b", Patience: time.Hour, MaxAttempts: 1001, RetriesPerRequest: 2, RetriesPerSecond: 1e7, RetryBurst: -2,
	})
	for _, field := range []string{"Service", "Patience", "MaxAttempts", "RetriesPerRequest", "RetriesPerSecond", "RetryBurst"} {
		require.ErrorContains(t, err, field)
	}
	var out *option.Error
	require.ErrorAs(t, err, &out)
	f.router(newSeen("n1"), func(o *grpcroute.Options) {
		o.Patience, o.RetriesPerRequest, o.RetriesPerSecond = option.None, option.None, option.None
	})
}

// TestAnIdleClient makes its connections again for the next call.
func TestAnIdleClient(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router, grpc.WithIdleTimeout(10*time.Millisecond))
	for range 3 {
		_, err := invoke(t.Context(), conn, put, "a")
		require.NoError(t, err)
		for state := conn.GetState(); state != connectivity.Idle; state = conn.GetState() {
			require.True(t, conn.WaitForStateChange(t.Context(), state))
		}
	}
}

// TestAStreamThatCannotBeOpened ends with the same error whatever its caller does. The key is in the
// request, so that the stream is opened when the request is sent.
func TestAStreamThatCannotBeOpened(t *testing.T) {
	f := newFleet(t, func(o *grpcroute.Options) {
		o.Patience = option.None
		o.Key = func(c grpcroute.Call) (string, bool) {
			m, ok := c.Request.(*wrapperspb.StringValue)
			return m.GetValue(), ok
		}
	}, "eu/a", "eu/b")
	f.agree(nil, 2)
	f.stations[1].server.Stop()
	s, err := f.client(f.stations[0].router).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, watch)
	require.NoError(t, err)
	require.ErrorIs(t, s.SendMsg(wrapperspb.String("a")), grpcroute.ErrNotRun)
	require.ErrorIs(t, s.CloseSend(), grpcroute.ErrNotRun)
	_, err = receive(s)
	require.ErrorIs(t, err, grpcroute.ErrNotRun)
	require.Zero(t, f.stations[0].ran(watch), "opened again without the key")
}

// TestAnAddressWithANewOwner: a member has taken over the address of one that crashed, under another ID. Its calls go on
// when the others notice the crash.
func TestAnAddressWithANewOwner(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "eu/c")
	f.members[1].Services = f.members[2].Services
	f.agree(nil, 3)
	running, goOn := make(chan struct{}), make(chan struct{})
	f.stations[2].answers(func(_ context.Context, _, request string) (string, error) {
		if request == "x" {
			close(running)
			<-goOn
		}
		return "n3", nil
	})
	conn := f.client(f.stations[0].router)
	ended := make(chan error, 1)
	go func() {
		_, err := invoke(t.Context(), conn, put, "x")
		ended <- err
	}()
	<-running
	f.stations[0].set(f.owned(1), f.without(2))
	bubble.Eventually(t, time.Minute, "the view is used", func() error {
		answer, err := invoke(t.Context(), conn, put, "y")
		if err == nil && answer != "n1" {
			err = errors.New(answer + " answered")
		}
		return err
	})
	close(goOn)
	require.NoError(t, <-ended)
	require.Equal(t, 1, f.stations[2].ran("x"))
}
