package membership

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A stream comes from the bound address, also where the system would choose another one. Linux has more
// than one loopback address.
func TestStreamsComeFromTheBoundAddress(t *testing.T) {
	for _, from := range []string{"127.0.0.3:0", "0.0.0.0:0"} {
		dials, err := listenNet(netip.MustParseAddrPort(from), nil)
		require.NoError(t, err)
		accepts, err := net.Listen("tcp", "127.0.0.2:0")
		require.NoError(t, err)
		conn, err := dials.DialTimeout(accepts.Addr().String(), 10*time.Second)
		require.NoError(t, err)
		got := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		bound := netip.MustParseAddrPort(from).Addr()
		require.True(t, got == bound || bound.IsUnspecified() && got.IsLoopback(), "%v instead of %v", got, bound)
		require.NoError(t, conn.Close())
		require.NoError(t, accepts.Close())
		require.NoError(t, dials.Shutdown())
	}
}
