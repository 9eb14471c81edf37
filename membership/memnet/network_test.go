package memnet_test

import (
	"bytes"
	"log"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

var _ membership.Network = (*memnet.Network)(nil)

func TestNewNamesEveryOptionOutOfBounds(t *testing.T) {
	_, err := memnet.New(memnet.Options{
		Latency:    -time.Second,
		Jitter:     2 * time.Hour,
		PacketLoss: 1.5,
		StreamLoss: math.NaN(),
	})
	require.EqualError(t, err, "memnet: invalid options: Latency is -1s: must be between 0 and 1h0m0s\n"+
		"Jitter is 2h0m0s: must be between 0 and 1h0m0s\n"+
		"PacketLoss is 1.5: must be between 0 and 1\n"+
		"StreamLoss is NaN: must be between 0 and 1")

	_, err = memnet.New(memnet.Options{Latency: time.Hour, Jitter: time.Hour, PacketLoss: 1, StreamLoss: 1})
	require.NoError(t, err)
}

func TestSettersCheckBounds(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	require.EqualError(t, n.SetLatency(-1, 0), "memnet: Latency is -1ns: must be between 0 and 1h0m0s")
	require.EqualError(t, n.SetLatency(0, -1), "memnet: Jitter is -1ns: must be between 0 and 1h0m0s")
	require.EqualError(t, n.SetPacketLoss(-0.1), "memnet: PacketLoss is -0.1: must be between 0 and 1")
	require.EqualError(t, n.SetStreamLoss(math.Inf(1)), "memnet: StreamLoss is +Inf: must be between 0 and 1")
	require.NoError(t, n.SetLatency(time.Second, time.Second))
	require.NoError(t, n.SetPacketLoss(1))
	require.NoError(t, n.SetStreamLoss(1))
}

func TestListenRefusesAddressesWithoutHost(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	_, err := n.Listen(netip.AddrPort{}, nil)
	require.ErrorContains(t, err, "no address: give one such as 10.0.0.1:7946")
	for _, addr := range []string{"0.0.0.0:7946", "[::]:7946", "[::ffff:0.0.0.0]:7946"} {
		_, err := n.Listen(netip.MustParseAddrPort(addr), nil)
		require.ErrorContains(t, err, "an unspecified address names no host here", addr)
	}
}

func TestListenOnAnAddressInUse(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	first := listen(t, n, hostA)

	_, err := n.Listen(hostA, nil)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, `listening on "10.0.0.1:7946"`)
	_, err = n.Listen(netip.MustParseAddrPort("[::ffff:10.0.0.1]:7946"), nil)
	require.ErrorIs(t, err, syscall.EADDRINUSE, "the same address in another form")

	require.NoError(t, first.Shutdown())
	second := listen(t, n, hostA)
	require.NoError(t, first.Shutdown(), "again")
	sender := listen(t, n, hostB)
	require.True(t, reaches(t, sender, second), "the first one's second Shutdown is no business of the second")
	require.Empty(t, received(first))
}

func TestListenPicksFreePorts(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	free := netip.AddrPortFrom(hostA.Addr(), 0)
	first, second := listen(t, n, free), listen(t, n, free)
	require.NotZero(t, addrOf(t, first).Port())
	require.NotEqual(t, addrOf(t, first), addrOf(t, second))
	require.True(t, reaches(t, first, second))
}

func TestListenRunsOutOfPorts(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	for port := uint16(49152); port != 0; port++ {
		// A crash reserves its port as well, and takes less memory.
		n.Crash(netip.AddrPortFrom(hostA.Addr(), port))
	}
	_, err := n.Listen(netip.AddrPortFrom(hostA.Addr(), 0), nil)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	listen(t, n, netip.AddrPortFrom(hostB.Addr(), 0)) // another host has its own ports
	listen(t, n, netip.AddrPortFrom(hostA.Addr(), 50000))
}

func TestFinalAdvertiseAddr(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	transport := listen(t, n, hostA)

	ip, port, err := transport.FinalAdvertiseAddr("", 99)
	require.NoError(t, err)
	require.Equal(t, net.IP{10, 0, 0, 1}, ip)
	require.Equal(t, 7946, port)

	ip, port, err = transport.FinalAdvertiseAddr("::ffff:192.0.2.1", 99)
	require.NoError(t, err)
	require.Equal(t, net.IP{192, 0, 2, 1}, ip, "memberlist wants IPv4 in four bytes")
	require.Equal(t, 99, port)

	_, _, err = transport.FinalAdvertiseAddr("orders-1", 99)
	require.EqualError(t, err, `memnet: advertise address "orders-1" is not an IP address`)
}

func TestShutdownIsIdempotentAndConcurrent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		connect(t, a, b)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { _ = a.Shutdown() })
			wg.Go(func() { _, _ = b.WriteTo([]byte("x"), hostA.String()) })
			wg.Go(func() { _, _ = b.DialTimeout(hostA.String(), time.Second) })
			wg.Go(func() { _, _ = a.DialTimeout(hostB.String(), time.Second) })
		}
		wg.Wait()
		require.NoError(t, a.Shutdown())
		require.NoError(t, b.Shutdown())
		require.Zero(t, n.Stats().StreamsOpen)
	})
}

func TestAfterShutdown(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	dialled, accepted := connect(t, a, b)
	require.NoError(t, a.Shutdown())

	_, err := a.WriteTo([]byte("x"), hostB.String())
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = a.DialTimeout(hostB.String(), time.Minute)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = dialled.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = accepted.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = b.DialTimeout(hostA.String(), time.Minute)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	send(t, b, hostA, "into the void")

	select {
	case <-a.PacketCh():
		t.Fatal("the packet channel was closed, or received")
	case <-a.StreamCh():
		t.Fatal("the stream channel was closed, or received")
	default:
	}
}

func TestShutdownLogsDroppedPackets(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	var lines bytes.Buffer
	slow, err := n.Listen(hostA, log.New(&lines, "", 0))
	require.NoError(t, err)
	fast := listen(t, n, hostB)
	for range 4096 + 3 {
		send(t, fast, hostA, "x")
	}
	for range 1024 {
		_, err := fast.DialTimeout(hostA.String(), time.Minute)
		require.NoError(t, err)
	}
	_, err = fast.DialTimeout(hostA.String(), time.Nanosecond)
	requireTimeout(t, err)

	require.Empty(t, lines.String(), "a log may block, so senders write none")
	require.NoError(t, slow.Shutdown())
	require.Equal(t, "[WARN] memnet: 10.0.0.1:7946: dropped 3 packets because its inbox of 4096 was full\n"+
		"[WARN] memnet: 10.0.0.1:7946: ignored 1 dials because its backlog of 1024 was full\n", lines.String())
}
