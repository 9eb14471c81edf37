package transport_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestHandlerOptions(t *testing.T) {
	require.NoError(t, transport.HandlerOptions{}.Validate())
	require.NoError(t, transport.HandlerOptions{MaxBodyBytes: 64 << 20, MaxKeys: 1, MaxChanges: 10_000, MaxMoves: 1_000_000}.Validate())
	bad := transport.HandlerOptions{MaxBodyBytes: 1023, MaxKeys: -1, MaxChanges: 10_001, MaxMoves: 1_000_001, Middleware: []func(http.Handler) http.Handler{nil}}
	const want = `MaxBodyBytes is 1023: must be between 1024 and 67108864, or zero for the default
MaxKeys is -1: must be between 1 and 100000, or zero for the default
MaxChanges is 10001: must be between 1 and 10000, or zero for the default
MaxMoves is 1000001: must be between 1 and 1000000, or zero for the default
Middleware[0] is <nil>: must be set`
	require.EqualError(t, bad.Validate(), want)
	_, err := transport.NewHandler(testkit.NewCluster(t), bad)
	require.EqualError(t, err, "transport: options of the handler: "+want)
	_, err = transport.NewHandler(nil, transport.HandlerOptions{})
	require.EqualError(t, err, "transport: NewHandler: the cluster is nil: must be set")
}

func TestServerOptions(t *testing.T) {
	require.NoError(t, transport.ServerOptions{}.Validate())
	bad := transport.ServerOptions{
		ReadHeaderTimeout: -time.Second, ReadTimeout: time.Microsecond, WriteTimeout: 25 * time.Hour, IdleTimeout: -1,
		MaxHeaderBytes: 1023, MaxConnections: 1<<20 + 1, MaxConnectionsPerClient: -1,
	}
	const want = `ReadHeaderTimeout is -1s: must be between 1ms and 24h0m0s, or zero for the default
ReadTimeout is 1µs: must be between 1ms and 24h0m0s, or zero for the default
WriteTimeout is 25h0m0s: must be between 1ms and 24h0m0s, or zero for the default
IdleTimeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
MaxHeaderBytes is 1023: must be between 1024 and 1048576, or zero for the default
MaxConnections is 1048577: must be between 1 and 1048576, or zero for the default
MaxConnectionsPerClient is -1: must be between 1 and 1048576, or zero for the default`
	require.EqualError(t, bad.Validate(), want)
	_, err := transport.Listen("127.0.0.1:0", testkit.NewHandler(testkit.NewCluster(t)), bad)
	require.EqualError(t, err, "transport: options of the server: "+want)
}
