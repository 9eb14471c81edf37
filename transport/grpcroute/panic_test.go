package grpcroute_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/transport/grpcroute"
	"github.com/clusterkit/clusterkit/transport/route"
)

// TestPanicsOfTheUsersFunctions are errors of the call. At a server they would end the process:
// gRPC recovers from no panic, and any client can send the call.
func TestPanicsOfTheUsersFunctions(t *testing.T) {
	for name, edit := range map[string]func(*grpcroute.Options){
		"Key": func(o *grpcroute.Options) {
			o.Key = func(grpcroute.Call) (string, bool) { panic("as a test asks for") }
		},
		"Method": func(o *grpcroute.Options) {
			o.Key = func(grpcroute.Call) (string, bool) { return "k", true }
			o.Method = func(string) grpcroute.Method { panic("as a test asks for") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, nil, "eu/a", "eu/b")
			f.stations = append(f.stations[:1], &station{seen: newSeen("n2"), id: "n2", runs: make(map[string]int)})
			f.stations[1].router = f.router(f.stations[1].seen, edit)
			f.listen(2, "127.0.0.1:0")
			f.agree(nil, 2)
			bare, err := grpc.NewClient(f.stations[1].addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			require.NoError(t, err)
			defer func() { require.NoError(t, bare.Close()) }()
			for _, conn := range []*grpc.ClientConn{bare, f.client(f.stations[1].router)} {
				err := conn.Invoke(t.Context(), put, wrapperspb.String("x"), new(wrapperspb.StringValue))
				require.Equal(t, codes.Internal, status.Code(err), "%v", err)
				require.ErrorContains(t, err, "the call has not run")
				for _, method := range []string{watch, chat} {
					s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: method == chat}, method)
					if err == nil {
						if err = s.SendMsg(wrapperspb.String("x")); err == nil || errors.Is(err, io.EOF) {
							_, err = receive(s)
						}
					}
					require.Equal(t, codes.Internal, status.Code(err), "%v", err)
				}
			}
			require.Zero(t, f.stations[1].ran("x"))
		})
	}
}

// TestAPanicOfDial is a failed dial. gRPC calls it in a goroutine of its own, where it would end the process.
func TestAPanicOfDial(t *testing.T) {
	f := newFleet(t, nil, "eu/a", "eu/b", "eu/c")
	f.agree(nil, 2, 3)
	router := f.router(f.stations[0].seen, func(o *grpcroute.Options) {
		o.Method = func(string) grpcroute.Method { return grpcroute.Method{Policy: route.PrimaryFirst} }
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == f.stations[1].addr {
				panic("as a test asks for")
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	})
	answer, err := invoke(t.Context(), f.client(router), put, "x")
	require.NoError(t, err)
	require.Equal(t, "n3", answer)
}
