package grpcroute_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/route"
)

// newThrough starts two members whose gRPC servers stand behind a route.Router. The second owns
// all keys. It returns that one, and clients without a router of each.
func newThrough(t *testing.T) (owner *station, clients [2]*grpc.ClientConn) {
	f := &fleet{t: t}
	for i := range clients {
		id := fmt.Sprint("n", i+1)
		s := &station{seen: newSeen(id), id: id, runs: make(map[string]int)}
		server := grpc.NewServer(grpc.MaxRecvMsgSize(8 << 20))
		server.RegisterService(&service, s)
		router, err := route.New(s, server, route.Options{
			Service: "kv", Logger: quiet(), Key: func(*http.Request) (string, bool) { return "k", true },
		})
		require.NoError(t, err)
		front := httptest.NewUnstartedServer(router)
		front.Config.Protocols = new(http.Protocols)
		front.Config.Protocols.SetUnencryptedHTTP2(true)
		front.Start()
		t.Cleanup(func() {
			front.CloseClientConnections()
			front.Close()
			require.NoError(t, router.Close())
		})
		f.stations = append(f.stations, s)
		f.members = append(f.members, membership.Member{
			ID: id, Region: "eu", Zone: "a", Weight: 1, State: membership.Active, Start: membership.Start{Number: 1},
			Services: map[string]string{"kv": front.Listener.Addr().String()},
		})
		clients[i], err = grpc.NewClient("passthrough:///"+front.Listener.Addr().String(),
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, clients[i].Close()) })
	}
	f.agree(nil, 2)
	return f.stations[1], clients
}

// noted writes metadata in one order, without what may differ when a request was forwarded.
func noted(md metadata.MD) string {
	var lines []string
	for name, values := range md {
		if name != "date" && name != "trailer" && name != ":authority" && !strings.HasPrefix(name, "x-forwarded-") {
			lines = append(lines, fmt.Sprintf("%s=%.100q", name, values))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n  ")
}

// TestCallsThroughRouters: clients of gRPC that know nothing of routers get from any member what
// they get from the owner, and its handler sees the same.
func TestCallsThroughRouters(t *testing.T) {
	owner, clients := newThrough(t)
	var mu sync.Mutex
	var saw string
	waits := make(chan struct{}, 1)
	owner.answers(func(ctx context.Context, _, request string) (string, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		_, limited := ctx.Deadline()
		mu.Lock()
		saw = fmt.Sprintf("%d bytes, deadline %v\n  %s", len(request), limited, noted(md))
		mu.Unlock()
		_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1", "t-bin", "\x00\xff"))
		switch request {
		case "header":
			_ = grpc.SendHeader(ctx, metadata.Pairs("h", "1", "h", "2", "h-bin", "\x01\xfe"))
		case "error":
			return "", status.Error(codes.NotFound, "ünïcode % \n")
		case "details":
			s, err := status.New(codes.FailedPrecondition, "d").WithDetails(durationpb.New(time.Second))
			return "", errors.Join(err, s.Err())
		case "unavailable":
			return "", status.Error(codes.Unavailable, "of the handler")
		case "a code of its own":
			return "", status.Error(codes.Code(99), "")
		case "a long trailer":
			_ = grpc.SetTrailer(ctx, metadata.Pairs("long", strings.Repeat("x", 100<<10)))
		case "a long answer":
			return strings.Repeat("y", 5<<20), nil
		case "canceled":
			waits <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}
		return "answer to " + request[:min(len(request), 10)], nil
	})
	call := func(conn *grpc.ClientConn, request string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if request == "canceled" {
			go func() { <-waits; cancel() }()
		}
		var options []grpc.CallOption
		if request == "compressed" {
			options = append(options, grpc.UseCompressor(gzip.Name))
		}
		var header, trailer metadata.MD
		answer := new(wrapperspb.StringValue)
		err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, "a", "1", "a", "2", "b-bin", "\x00\x01\xff", "c", "x,y"), put,
			wrapperspb.String(request), answer, append(options, grpc.Header(&header), grpc.Trailer(&trailer))...)
		s := status.Convert(err)
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprintf("saw %s\ngot %d bytes %.20q\n%v %q %v\nheader %s\ntrailer %s", saw,
			len(answer.GetValue()), answer.GetValue(), s.Code(), s.Message(), s.Details(), noted(header), noted(trailer))
	}
	for _, request := range []string{
		"", "plain", "compressed", "header", "error", "details", "unavailable", "a code of its own", "a long trailer", "a long answer",
		"canceled", strings.Repeat("z", 4<<20), strings.Repeat("z", 9<<20),
	} {
		t.Run(request[:min(len(request), 20)], func(t *testing.T) {
			require.Equal(t, call(clients[1], request), call(clients[0], request))
		})
	}
	for _, method := range []string{"/test.KV/None", "/test.None/None", "/none"} {
		var errs [2]error
		for i, conn := range clients {
			errs[i] = conn.Invoke(t.Context(), method, wrapperspb.String("a"), new(wrapperspb.StringValue))
		}
		require.Equal(t, status.Convert(errs[1]).Proto(), status.Convert(errs[0]).Proto(), method)
	}
}

// TestStreamsThroughRouters: both sides take turns, and either may end the stream.
func TestStreamsThroughRouters(t *testing.T) {
	owner, clients := newThrough(t)
	owner.streams(func(_ string, s grpc.ServerStream) error {
		for i := 0; ; i++ {
			request, err := receive(s)
			switch {
			case errors.Is(err, io.EOF):
				s.SetTrailer(metadata.Pairs("n", fmt.Sprint(i)))
				return nil
			case err != nil:
				return err
			case request == "fail":
				return status.Error(codes.Aborted, "as asked")
			case request == "end":
				return s.SendMsg(wrapperspb.String("ended"))
			}
			if err := s.SendMsg(wrapperspb.String(request)); err != nil {
				return err
			}
		}
	})
	talk := func(conn *grpc.ClientConn, requests []string) (got string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, chat)
		require.NoError(t, err)
		for _, request := range requests {
			require.NoError(t, s.SendMsg(wrapperspb.String(request)))
			answer, err := receive(s)
			got += fmt.Sprintf("%d bytes %v\n", len(answer), err)
		}
		_ = s.CloseSend()
		_, err = receive(s)
		return got + fmt.Sprint(err, noted(s.Trailer()))
	}
	for name, requests := range map[string][]string{
		"empty": nil, "one": {"a"}, "long": {"a", strings.Repeat("b", 1<<20), "c"}, "fails": {"a", "fail"}, "fails at once": {"fail"}, "ends": {"a", "end"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, talk(clients[1], requests), talk(clients[0], requests))
		})
	}
}
