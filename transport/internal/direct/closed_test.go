//go:build unix

package direct_test

import (
	"crypto/tls"
	"io"
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

	idle, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	_, err = l.Accept() // of the first one
	require.NoError(t, err)
	there, err := l.Accept()
	require.NoError(t, err)
	require.False(t, direct.HasEnded(idle))
	_, err = there.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, there.Close())
	require.False(t, direct.HasEnded(idle), "something is left to read")
	_, err = io.ReadAll(idle)
	require.NoError(t, err)
	require.True(t, direct.HasEnded(idle))
	require.NoError(t, idle.Close())
	require.False(t, direct.HasEnded(idle), "this side has closed it")

	pipe, other := net.Pipe()
	require.NoError(t, pipe.Close())
	require.NoError(t, other.Close())
	require.False(t, direct.IsClosed(pipe), "no connection of the system")
	require.False(t, direct.IsClosed(nil))
	require.False(t, direct.HasEnded(pipe))
}
