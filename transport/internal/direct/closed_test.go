package direct_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
)

func TestAConnectionThatIsClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	plain, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	over := tls.Client(plain, &tls.Config{})
	require.False(t, direct.IsClosed(plain))
	require.False(t, direct.IsClosed(over))
	require.NoError(t, plain.Close())
	require.True(t, direct.IsClosed(plain))
	require.True(t, direct.IsClosed(over))

	pipe, other := net.Pipe()
	require.NoError(t, pipe.Close())
	require.NoError(t, other.Close())
	require.False(t, direct.IsClosed(pipe), "no connection of the system")
	require.False(t, direct.IsClosed(nil))
}
