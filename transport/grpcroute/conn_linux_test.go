package grpcroute_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// TestUserTimeout: gRPC sets TCP_USER_TIMEOUT on a connection for which keepalive is configured.
// It does so for a net.TCPConn, and for no type that wraps one.
func TestUserTimeout(t *testing.T) {
	var dialed atomic.Pointer[net.TCPConn]
	f := newFleet(t, func(o *grpcroute.Options) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if c, ok := conn.(*net.TCPConn); ok {
				dialed.Store(c)
			}
			return conn, err
		}
	}, "eu/a", "eu/b")
	f.agree(nil, 2)
	conn := f.client(f.stations[0].router, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 7 * time.Second}))
	_, err := invoke(t.Context(), conn, put, "a")
	require.NoError(t, err)
	raw, err := dialed.Load().SyscallConn()
	require.NoError(t, err)
	const userTimeout = 18 // TCP_USER_TIMEOUT of linux, which package syscall does not name
	var got int
	require.NoError(t, raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout) }))
	require.NoError(t, err)
	require.Equal(t, 7000, got)
}
