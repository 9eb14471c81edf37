package direct_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
)

func TestTheEndOfAConnection(t *testing.T) {
	plain, other := net.Pipe()
	require.Nil(t, direct.Ended(plain))
	require.Nil(t, direct.Ended(tls.Client(plain, &tls.Config{})))
	c := direct.Noticed(plain)
	over := tls.Client(c, &tls.Config{})
	for _, c := range []net.Conn{c, over} {
		select {
		case <-direct.Ended(c):
			require.Fail(t, "it is open")
		default:
		}
	}
	require.NoError(t, c.Close())
	<-direct.Ended(over)
	require.NoError(t, c.Close(), "twice")
	require.NoError(t, other.Close())
}
