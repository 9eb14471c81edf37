package memnet_test

import (
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func TestPacketArrivesWithItsSender(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	payload := []byte("hello")
	before := time.Now()
	sent, err := a.WriteToAddress(payload, memberlist.Address{Addr: hostB.String(), Name: "b"})
	require.NoError(t, err)
	payload[0] = 'j' // the network must have its own copy

	p := <-b.PacketCh()
	require.Equal(t, "hello", string(p.Buf))
	require.Equal(t, &net.UDPAddr{IP: net.IP{10, 0, 0, 1}, Port: 7946}, p.From)
	require.False(t, sent.Before(before))
	require.False(t, p.Timestamp.Before(sent))
}

func TestPacketToItself(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a := listen(t, n, hostA)
	n.Isolate(hostA)
	n.Block(hostA, hostA)
	require.True(t, reaches(t, a, a), "that leaves no host")
}

func TestPacketErrors(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a := listen(t, n, hostA)

	_, err := a.WriteTo([]byte("x"), "orders-1:7946")
	require.EqualError(t, err, "memnet: address orders-1:7946: not an IP address with a port, and there are no host names here")
	_, err = a.WriteTo(make([]byte, 65508), hostB.String())
	require.ErrorIs(t, err, syscall.EMSGSIZE)
	_, err = a.WriteTo(make([]byte, 65507), hostB.String())
	require.NoError(t, err, "UDP does not tell that nobody listens")
	require.Equal(t, memnet.Stats{
		PacketsSent: 1, PacketBytesSent: 65507, LargestPacket: 65507,
		PacketsDropped: memnet.PacketDrops{NoListener: 1},
	}, n.Stats())
}

func TestPacketLatencyIsExact(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: 30 * time.Millisecond})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		for i := range 5 {
			send(t, a, hostB, strconv.Itoa(i))
			time.Sleep(7 * time.Millisecond)
		}
		// 35 ms after the first was sent, and 1 ms before the second is due.
		time.Sleep(time.Millisecond)
		require.Equal(t, []string{"0"}, received(b))
		require.NoError(t, n.SetLatency(0, 0))
		send(t, a, hostB, "overtakes")
		require.Equal(t, []string{"overtakes"}, received(b), "what is under way keeps its time")

		sent := time.Now()
		for i := 1; i < 5; i++ {
			p := <-b.PacketCh()
			require.Equal(t, strconv.Itoa(i), string(p.Buf))
			require.Equal(t, time.Duration(7*i-6)*time.Millisecond, p.Timestamp.Sub(sent))
			require.Equal(t, p.Timestamp, time.Now())
		}
	})
}

func TestPacketsOfOneInstantKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: time.Millisecond})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		var want []string
		for i := range 500 {
			want = append(want, strconv.Itoa(i))
			send(t, a, hostB, strconv.Itoa(i))
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, want, received(b))
	})
}

// arrivals sends packets with loss and jitter, and returns which ones arrived, and
// when.
func arrivals(t *testing.T, seed uint64) string {
	var got strings.Builder
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{
			Seed: seed, Latency: time.Millisecond, Jitter: 10 * time.Millisecond, PacketLoss: 0.3,
		})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		start := time.Now()
		for i := range 1000 {
			send(t, a, hostB, strconv.Itoa(i))
		}
		time.Sleep(11 * time.Millisecond)
		synctest.Wait()
		s := n.Stats()
		require.Equal(t, uint64(1000), s.PacketsDelivered+s.PacketsDropped.Lost)
		require.InDelta(t, 300, s.PacketsDropped.Lost, 60)
		for range s.PacketsDelivered {
			p := <-b.PacketCh()
			after := p.Timestamp.Sub(start)
			require.GreaterOrEqual(t, after, time.Millisecond)
			require.Less(t, after, 11*time.Millisecond)
			got.WriteString(string(p.Buf) + "@" + after.String() + " ")
		}
	})
	return got.String()
}

func TestLossAndJitterAreSeeded(t *testing.T) {
	first := arrivals(t, 1)
	require.Equal(t, first, arrivals(t, 1))
	require.NotEqual(t, first, arrivals(t, 2))
}

func TestPacketLossAtItsBounds(t *testing.T) {
	n := newNetwork(t, memnet.Options{PacketLoss: 1})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	for range 1000 {
		require.False(t, reaches(t, a, b))
	}
	require.NoError(t, n.SetPacketLoss(0))
	for range 1000 {
		require.True(t, reaches(t, a, b))
	}
}

func TestAFullInboxDropsAndDoesNotBlock(t *testing.T) {
	for _, latency := range []time.Duration{0, time.Millisecond} {
		bubble(t, func(t *testing.T) {
			n := newNetwork(t, memnet.Options{Latency: latency})
			a, b := listen(t, n, hostA), listen(t, n, hostB)
			require.Zero(t, elapsed(func() {
				for range 5000 {
					send(t, a, hostB, "0123456789")
				}
			}))
			time.Sleep(latency)
			synctest.Wait()
			require.Len(t, received(b), 4096)
			require.Equal(t, memnet.Stats{
				PacketsSent: 5000, PacketBytesSent: 50000, LargestPacket: 10,
				PacketsDelivered: 4096, PacketBytesDelivered: 40960,
				PacketsDropped: memnet.PacketDrops{InboxFull: 904},
			}, n.Stats())
		})
	}
}

func TestAPacketUnderWayReachesALaterListener(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: time.Second})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		send(t, a, hostB, "for a successor")
		require.NoError(t, b.Shutdown())
		successor := listen(t, n, hostB)
		require.NoError(t, a.Shutdown(), "which takes back nothing")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, received(b))
		require.Equal(t, []string{"for a successor"}, received(successor))
	})
}
