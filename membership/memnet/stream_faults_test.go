package memnet_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func TestACutStallsStreamsUntilItHeals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, dialled, accepted := pair(t, memnet.Options{Latency: 10 * time.Millisecond})
		write(t, dialled, "arrived ")
		time.Sleep(10 * time.Millisecond)
		write(t, dialled, "under way ")
		require.NoError(t, n.Partition([]netip.AddrPort{hostA}))
		write(t, dialled, "held ")
		write(t, dialled, "back")
		require.NoError(t, dialled.Close())
		time.Sleep(time.Hour)
		require.Equal(t, "arrived ", readNow(t, accepted), "what was there stays readable")

		require.NoError(t, accepted.SetReadDeadline(time.Now().Add(5*time.Second)))
		require.Equal(t, 5*time.Second, elapsed(func() {
			_, err := accepted.Read(make([]byte, 1))
			requireTimeout(t, err)
		}))
		write(t, accepted, "into the void, unknowingly")

		require.NoError(t, accepted.SetReadDeadline(time.Time{}))
		rest := make(chan string)
		go func() {
			b, err := io.ReadAll(accepted)
			rest <- string(b)
			if err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		n.Heal()
		require.Equal(t, 10*time.Millisecond, elapsed(func() {
			require.Equal(t, "under way held back", <-rest)
		}))
	})
}

func TestABlockStallsOneDirection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, dialled, accepted := pair(t, memnet.Options{})
		n.Block(hostA, hostB)
		n.Isolate(hostC) // a cut that does not affect this stream
		write(t, dialled, "ping")
		write(t, accepted, "pong")
		require.Equal(t, "pong", readNow(t, dialled))
		require.Empty(t, readNow(t, accepted))
		n.Unblock(hostA, hostB)
		require.Equal(t, "ping", readNow(t, accepted))
	})
}

func TestACrashStallsStreamsForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		write(t, accepted, "arrived")
		n.Crash(hostB)
		restarted := listen(t, n, hostB)
		n.Heal()
		write(t, accepted, "posthumous")
		write(t, dialled, "anybody?")
		require.Equal(t, "arrived", readNow(t, dialled))
		require.Empty(t, readNow(t, accepted))
		require.NoError(t, b.Shutdown())
		require.Empty(t, readNow(t, dialled), "not even the end of the stream")

		again, accepted := connect(t, a, restarted)
		write(t, again, "welcome back")
		require.Equal(t, "welcome back", readNow(t, accepted))
	})
}

func TestShutdownClosesStreamsBothWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		toItself, fromItself := connect(t, a, a)
		write(t, dialled, "bye")
		failed := make(chan error)
		for _, conn := range []net.Conn{dialled, toItself, fromItself} {
			go func() {
				_, err := conn.Read(make([]byte, 1))
				failed <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, a.Shutdown())
		for range 3 {
			require.Error(t, <-failed)
		}
		for _, conn := range []net.Conn{dialled, toItself, fromItself} {
			_, err := conn.Write([]byte("x"))
			require.ErrorIs(t, err, net.ErrClosed)
		}
		got, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		require.Equal(t, 1, n.Stats().StreamsOpen)
	})
}
