package memnet_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func TestDialAddresses(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	conn, err := a.DialAddressTimeout(memberlist.Address{Addr: hostB.String(), Name: "b"}, time.Minute)
	require.NoError(t, err)
	accepted := <-b.StreamCh()

	require.Equal(t, &net.TCPAddr{IP: net.IP{10, 0, 0, 2}, Port: 7946}, conn.RemoteAddr())
	require.Equal(t, conn.RemoteAddr(), accepted.LocalAddr())
	require.Equal(t, conn.LocalAddr(), accepted.RemoteAddr())
	local := conn.LocalAddr().(*net.TCPAddr)
	require.Equal(t, net.IP{10, 0, 0, 1}, local.IP)
	require.NotEqual(t, 7946, local.Port)

	_, err = a.DialTimeout("orders-1:7946", time.Minute)
	require.ErrorContains(t, err, "there are no host names here")
}

func TestDialTakesARoundTrip(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: 40 * time.Millisecond})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		require.Equal(t, 80*time.Millisecond, elapsed(func() { connect(t, a, b) }))
		require.Equal(t, 80*time.Millisecond, elapsed(func() {
			_, err := a.DialTimeout(hostC.String(), time.Minute)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}))
		require.Equal(t, 80*time.Millisecond, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), 80*time.Millisecond)
			requireTimeout(t, err)
		}))
		require.Equal(t, memnet.DialFailures{Refused: 1, TooSlow: 1}, n.Stats().DialsFailed)
	})
}

func TestDialWithoutListenerIsRefusedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a := listen(t, n, hostA)
		require.Zero(t, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), time.Minute)
			require.EqualError(t, err, "dial tcp 10.0.0.2:7946: connect: connection refused")
			// memberlist checks the type of an error, and does not unwrap it.
			var op *net.OpError
			require.IsType(t, op, err) //nolint:testifylint // the type, not what it wraps
		}))
	})
}

func TestDialTimeouts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{StreamLoss: 1})
		a := listen(t, n, hostA)
		listen(t, n, hostB)
		for timeout, want := range map[time.Duration]time.Duration{
			3 * time.Second: 3 * time.Second,
			-time.Second:    0,
			0:               2 * time.Minute,
		} {
			require.Equal(t, want, elapsed(func() {
				_, err := a.DialTimeout(hostB.String(), timeout)
				requireTimeout(t, err)
				require.EqualError(t, err, "dial tcp 10.0.0.2:7946: i/o timeout")
			}))
		}
		require.Equal(t, memnet.DialFailures{Lost: 3}, n.Stats().DialsFailed)

		require.NoError(t, n.SetStreamLoss(0))
		require.Zero(t, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), -time.Second)
			requireTimeout(t, err)
		}))
		require.Equal(t, memnet.DialFailures{Lost: 3, TooSlow: 1}, n.Stats().DialsFailed)
	})
}

func TestDialAcrossACutWaitsOutItsTimeout(t *testing.T) {
	cuts := map[string]func(*memnet.Network){
		"there":     func(n *memnet.Network) { n.Block(hostA, hostB) },
		"back":      func(n *memnet.Network) { n.Block(hostB, hostA) },
		"isolated":  func(n *memnet.Network) { n.Isolate(hostA) },
		"partition": func(n *memnet.Network) { _ = n.Partition([]netip.AddrPort{hostB}) },
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t, memnet.Options{Latency: time.Millisecond})
				a, b := listen(t, n, hostA), listen(t, n, hostB)
				cut(n)
				require.Equal(t, 10*time.Second, elapsed(func() {
					_, err := a.DialTimeout(hostB.String(), 10*time.Second)
					requireTimeout(t, err)
				}))
				require.Empty(t, b.StreamCh())
				require.Equal(t, memnet.DialFailures{Cut: 1}, n.Stats().DialsFailed)
				n.Heal()
				connect(t, a, b)
			})
		})
	}
}

func TestStreamLossIsSeeded(t *testing.T) {
	outcomes := func(seed uint64) (lost []int) {
		bubble(t, func(t *testing.T) {
			n := newNetwork(t, memnet.Options{Seed: seed, StreamLoss: 0.25})
			a, b := listen(t, n, hostA), listen(t, n, hostB)
			for i := range 400 {
				conn, err := a.DialTimeout(hostB.String(), time.Second)
				if err != nil {
					requireTimeout(t, err)
					lost = append(lost, i)
					continue
				}
				require.NoError(t, conn.Close())
				require.NoError(t, (<-b.StreamCh()).Close())
			}
			s := n.Stats()
			require.Equal(t, uint64(400), s.Dials)
			require.Equal(t, s.Dials, s.DialsConnected+s.DialsFailed.Total())
			require.Zero(t, s.StreamsOpen)
		})
		return lost
	}
	first := outcomes(1)
	require.InDelta(t, 100, len(first), 40)
	require.Equal(t, first, outcomes(1))
	require.NotEqual(t, first, outcomes(2))
}

func TestDialToAFullBacklogTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		for range 1024 {
			_, err := a.DialTimeout(hostB.String(), time.Second)
			require.NoError(t, err)
		}
		require.Equal(t, time.Second, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), time.Second)
			requireTimeout(t, err)
		}))
		require.Equal(t, memnet.DialFailures{BacklogFull: 1}, n.Stats().DialsFailed)
		<-b.StreamCh()
		_, err := a.DialTimeout(hostB.String(), time.Second)
		require.NoError(t, err)
		require.Equal(t, 1025, n.Stats().StreamsOpen)
		require.NoError(t, b.Shutdown(), "which closes those never accepted as well")
		require.NoError(t, a.Shutdown())
		require.Zero(t, n.Stats().StreamsOpen)
	})
}

func TestShutdownReleasesDials(t *testing.T) {
	dials := map[string]memnet.Options{
		"under way":  {Latency: time.Minute},
		"unanswered": {StreamLoss: 1},
	}
	for name, options := range dials {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t, options)
				a := listen(t, n, hostA)
				listen(t, n, hostB)
				failed := make(chan error)
				go func() {
					_, err := a.DialTimeout(hostB.String(), time.Hour)
					failed <- err
				}()
				time.Sleep(time.Second)
				require.Zero(t, elapsed(func() {
					require.NoError(t, a.Shutdown())
					require.ErrorIs(t, <-failed, net.ErrClosed)
				}))
				require.Equal(t, memnet.DialFailures{Aborted: 1}, n.Stats().DialsFailed)
			})
		})
	}
}
