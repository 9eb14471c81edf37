package cluster_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// Start ends with its context, although a client of HTTP has sent half of a request.
func TestStartEndsBesideAnOpenRequest(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.100.1:0")
	require.NoError(t, err)
	asked := make(chan struct{}, 8)
	c := onLoopback(t, 1, func(o *cluster.Options) {
		o.HTTPAddr, o.HTTP.Listener = "", listener
		o.Bootstrap.Timeout = time.Minute
		o.Discovery = membership.DiscoveryFunc(func(context.Context) ([]string, error) {
			select {
			case asked <- struct{}{}:
			default:
			}
			return []string{"127.0.100.2:1"}, nil
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- c.Start(ctx) }()
	<-asked // it listens by now
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	_, err = client.Write([]byte("GET /livez HTTP/1.1\r\nHost: a\r\n"))
	require.NoError(t, err)
	begun := time.Now()
	cancel()
	require.ErrorIs(t, <-started, context.Canceled)
	require.Less(t, time.Since(begun), 3*time.Second)
}
