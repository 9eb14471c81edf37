package memnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The hosts of most tests.
var (
	hostA = netip.MustParseAddrPort("10.0.0.1:7946")
	hostB = netip.MustParseAddrPort("10.0.0.2:7946")
	hostC = netip.MustParseAddrPort("10.0.0.3:7946")
	hostD = netip.MustParseAddrPort("10.0.0.4:7946")
)

// bubble runs a test in virtual time, on one processor. With more, two timers
// due at the same instant may run at once, although a bubble has one context
// for them in the race detector, whose own runtime then crashes now and then:
// https://go.dev/issue/78156.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

func newNetwork(t testing.TB, options memnet.Options) *memnet.Network {
	t.Helper()
	n, err := memnet.New(options)
	require.NoError(t, err)
	return n
}

// listen opens a transport that is shut down at the end of the test.
func listen(t testing.TB, n *memnet.Network, addr netip.AddrPort) memberlist.NodeAwareTransport {
	t.Helper()
	transport, err := n.Listen(addr, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Shutdown()) })
	return transport
}

func send(t testing.TB, from memberlist.Transport, to netip.AddrPort, payload string) {
	t.Helper()
	_, err := from.WriteTo([]byte(payload), to.String())
	require.NoError(t, err)
}

// received returns the packets in the inbox, in order.
func received(transport memberlist.Transport) []string {
	var payloads []string
	for {
		select {
		case p := <-transport.PacketCh():
			payloads = append(payloads, string(p.Buf))
		default:
			return payloads
		}
	}
}

// reaches reports whether a packet sent now gets there. It is for networks
// without loss or latency.
func reaches(t testing.TB, from, to memberlist.Transport) bool {
	t.Helper()
	send(t, from, addrOf(t, to), "reaches")
	return len(received(to)) > 0
}

func addrOf(t testing.TB, transport memberlist.Transport) netip.AddrPort {
	t.Helper()
	ip, port, err := transport.FinalAdvertiseAddr("", 0)
	require.NoError(t, err)
	addr, err := netip.ParseAddrPort(net.JoinHostPort(ip.String(), fmt.Sprint(port)))
	require.NoError(t, err)
	return addr
}

// connect opens a stream and returns both ends, which are closed at the end of the
// test.
func connect(t testing.TB, from, to memberlist.Transport) (dialled, accepted net.Conn) {
	t.Helper()
	dialled, err := from.DialTimeout(addrOf(t, to).String(), time.Minute)
	require.NoError(t, err)
	accepted = <-to.StreamCh()
	t.Cleanup(func() {
		require.NoError(t, dialled.Close())
		require.NoError(t, accepted.Close())
	})
	return dialled, accepted
}

// requireTimeout checks that an error is that of a passed deadline.
func requireTimeout(t testing.TB, err error) {
	t.Helper()
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "%v", err)
}

// elapsed returns how long a function takes, in the bubble's time.
func elapsed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
