package membership

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func TestListenNet(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	transport, err := listenNet(loopback, nil)
	require.NoError(t, err)
	ip, port, err := transport.FinalAdvertiseAddr("", 0)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", ip.String())
	require.NotZero(t, port)

	addr := net.JoinHostPort(ip.String(), strconv.Itoa(port))
	_, err = transport.WriteTo([]byte("hello"), addr)
	require.NoError(t, err)
	packet := <-transport.PacketCh()
	require.Equal(t, "hello", string(packet.Buf))

	_, err = listenNet(netip.MustParseAddrPort(addr), nil)
	require.ErrorContains(t, err, "membership: binding gossip to "+addr+": ")
	require.NoError(t, transport.Shutdown())
	goleak.VerifyNone(t, ignore)
}

func TestListenNetRefuses(t *testing.T) {
	_, err := listenNet(netip.AddrPort{}, nil)
	require.EqualError(t, err, "membership: binding gossip: no IP address given")
	_, err = listenNet(netip.MustParseAddrPort("[fe80::1%eth0]:7946"), nil)
	require.EqualError(t, err, "membership: binding gossip to [fe80::1%eth0]:7946: an IPv6 zone is not supported")
	_, err = listenNet(netip.MustParseAddrPort("192.0.2.1:0"), nil)
	require.ErrorContains(t, err, "membership: binding gossip to 192.0.2.1:0: ")
}

// A port that is free for TCP and taken for UDP is skipped.
func TestListenNetRetries(t *testing.T) {
	var udp []net.PacketConn
	t.Cleanup(func() {
		for _, c := range udp {
			_ = c.Close()
		}
	})
	for range 500 {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		udp = append(udp, c)
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			transport, err := listenNet(loopback, nil)
			if err == nil {
				err = transport.Shutdown()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// What a stranger sends costs about as much memory as it has bytes.
func TestPacketsAreReadIntoOneBuffer(t *testing.T) {
	transport, err := listenNet(loopback, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, transport.Shutdown()) }()
	ip, port, err := transport.FinalAdvertiseAddr("", 0)
	require.NoError(t, err)
	addr := net.JoinHostPort(ip.String(), strconv.Itoa(port))
	const packets = 200
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range packets {
		_, err := transport.WriteTo([]byte{byte(i)}, addr)
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, (<-transport.PacketCh()).Buf)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(packets*4<<10))
}

func TestShutdownDoesNotWaitForReaders(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	transport, err := listenNet(loopback, nil)
	require.NoError(t, err)
	ip, port, err := transport.FinalAdvertiseAddr("", 0)
	require.NoError(t, err)
	addr := net.JoinHostPort(ip.String(), strconv.Itoa(port))
	_, err = transport.WriteTo([]byte("unread"), addr)
	require.NoError(t, err)
	conn, err := transport.DialTimeout(addr, time.Minute)
	require.NoError(t, err)
	require.NoError(t, transport.Shutdown())
	require.NoError(t, transport.Shutdown())
	require.NoError(t, conn.Close())
	goleak.VerifyNone(t, ignore)
}

func TestDialsEndWithTheTransport(t *testing.T) {
	transport, err := listenNet(netip.MustParseAddrPort("127.0.0.1:0"), nil)
	require.NoError(t, err)
	require.NoError(t, transport.Shutdown())
	_, err = transport.DialTimeout("127.0.0.1:9", time.Hour)
	require.ErrorIs(t, err, context.Canceled)
}

// Stop without time to tell others returns when the port is free.
func TestStopWithoutTimeFreesThePort(t *testing.T) {
	for range 5 {
		m, err := New(Options{
			ClusterName: "orders", NodeID: "n1", GossipAddr: "127.0.0.1:0", PartitionCount: 16,
			Configurations: []string{"x"}, Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		addr := m.Local().Addr
		if err := m.Stop(ended()); err != nil { // it may be faster than the look at the context
			require.ErrorIs(t, err, context.Canceled)
		}
		packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		require.NoError(t, err)
		require.NoError(t, packets.Close())
		streams, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
		require.NoError(t, err)
		require.NoError(t, streams.Close())
	}
}
