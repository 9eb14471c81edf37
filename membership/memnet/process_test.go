package memnet_test

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func TestAKillEndsStreamsAndRefusesDials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: 10 * time.Millisecond})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		write(t, accepted, "last words")
		send(t, b, hostA, "packet under way")
		n.Kill(hostB)
		require.Equal(t, 10*time.Millisecond, elapsed(func() {
			read, err := io.ReadAll(dialled)
			require.NoError(t, err)
			require.Equal(t, "last words", string(read))
		}))
		_, err := dialled.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		synctest.Wait()
		require.Equal(t, []string{"packet under way"}, received(a))
		require.Equal(t, 20*time.Millisecond, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), time.Minute)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}))
		send(t, a, hostB, "nobody is there")

		// The goroutines of the killed process go on, and reach nobody.
		send(t, b, hostA, "of a dead process")
		_, err = accepted.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, time.Minute, elapsed(func() {
			_, err := b.DialTimeout(hostA.String(), time.Minute)
			requireTimeout(t, err)
		}))
		require.Empty(t, received(a))
		require.Equal(t, memnet.PacketDrops{Crashed: 1, NoListener: 1}, n.Stats().PacketsDropped)

		restarted := listen(t, n, hostB)
		require.NoError(t, b.Shutdown())
		connect(t, a, restarted)
		n.Kill(hostC) // where nobody listens
	})
}

func TestAKillEndsStreamsThatNobodyAccepted(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, _ := listen(t, n, hostA), listen(t, n, hostB)
	conn, err := a.DialTimeout(hostB.String(), time.Minute)
	require.NoError(t, err)
	n.Kill(hostB)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, conn.Close())
	require.Zero(t, n.Stats().StreamsOpen)
}

func TestACutHidesAKill(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, dialled, _ := pair(t, memnet.Options{})
		n.Isolate(hostB)
		n.Kill(hostB)
		require.NoError(t, dialled.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := dialled.Read(make([]byte, 1))
		requireTimeout(t, err)
		n.Heal()
		require.NoError(t, dialled.SetReadDeadline(time.Time{}))
		_, err = dialled.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestRefuseIsForDialsOfOneDirection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		refused := func() bool {
			conn, err := a.DialTimeout(hostB.String(), time.Minute)
			if err == nil {
				require.NoError(t, conn.Close())
				require.NoError(t, (<-b.StreamCh()).Close())
				return false
			}
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			return true
		}
		mapped := netip.AddrPortFrom(netip.AddrFrom16(hostA.Addr().As16()), hostA.Port())
		n.Refuse(mapped, hostB)
		n.Refuse(hostA, hostA)
		require.True(t, refused())
		connect(t, b, a)
		connect(t, a, a)
		write(t, dialled, "goes on")
		require.Equal(t, "goes on", readNow(t, accepted))
		require.Equal(t, "ab ba", reachability(t, a, b))
		n.Accept(hostB, hostA) // another direction
		require.True(t, refused())
		n.Accept(hostA, hostB)
		require.False(t, refused())
		n.Refuse(hostA, hostB)
		n.Heal()
		require.False(t, refused())
		require.Equal(t, memnet.DialFailures{Refused: 2}, n.Stats().DialsFailed)
	})
}

func TestCloseStreamsResetsTheStreamsOfAnAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: time.Second})
		a, b, c := listen(t, n, hostA), listen(t, n, hostB), listen(t, n, hostC)
		out, outFar := connect(t, b, a)
		in, inFar := connect(t, c, b)
		other, otherFar := connect(t, a, c)
		write(t, inFar, "is lost")
		n.Isolate(hostB)
		failed := make(chan error)
		for _, conn := range []net.Conn{out, outFar, in, inFar} {
			go func() {
				_, err := conn.Read(make([]byte, 1))
				failed <- err
			}()
		}
		synctest.Wait()
		n.CloseStreams(hostB)
		for range 4 {
			require.ErrorIs(t, <-failed, syscall.ECONNRESET)
		}
		for _, conn := range []net.Conn{out, outFar, in, inFar} {
			_, err := conn.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
		write(t, other, "not of that address")
		time.Sleep(time.Second)
		require.Equal(t, "not of that address", readNow(t, otherFar))
		n.Heal()
		connect(t, a, b)
		require.Equal(t, 4, n.Stats().StreamsOpen, "a stream is open until both ends have closed it")
	})
}

// later runs a function in the background, and returns a channel that gets the time that
// it took.
func later(f func()) <-chan time.Duration {
	took := make(chan time.Duration, 1)
	go func() { took <- elapsed(f) }()
	synctest.Wait()
	return took
}

func TestAStalledProcessKeepsItsSocketsOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		send(t, a, hostB, "unread ")
		n.Stall(hostB)
		n.Stall(hostB) // no effect
		n.Stall(hostC) // nobody is there

		send(t, a, hostB, "waits")
		write(t, dialled, "waits too")
		waiting, err := a.DialTimeout(hostB.String(), time.Minute)
		require.NoError(t, err, "the kernel connects")
		write(t, waiting, "hello")
		require.Empty(t, received(b))
		require.Empty(t, b.StreamCh())

		began := time.Now()
		blocked := []<-chan time.Duration{
			later(func() { send(t, b, hostA, "late") }),
			later(func() { write(t, accepted, "late too") }),
			later(func() {
				conn, err := b.DialTimeout(hostA.String(), time.Second)
				require.NoError(t, err)
				require.NoError(t, conn.Close())
			}),
		}
		time.Sleep(30 * time.Second)
		require.Empty(t, received(a))
		require.Empty(t, readNow(t, dialled))
		resumed := time.Now()
		n.Resume(hostB)
		n.Resume(hostB)
		for _, took := range blocked {
			require.Equal(t, resumed.Sub(began), <-took)
		}
		require.Equal(t, "unread ", string((<-b.PacketCh()).Buf))
		packet := <-b.PacketCh()
		require.Equal(t, "waits", string(packet.Buf))
		require.Equal(t, resumed, packet.Timestamp)
		require.Equal(t, "waits too", readNow(t, accepted))
		again := <-b.StreamCh()
		require.Equal(t, "hello", readNow(t, again))
		require.Equal(t, []string{"late"}, received(a))
		require.Equal(t, "late too", readNow(t, dialled))
		require.NoError(t, waiting.Close())
		require.NoError(t, again.Close())
		require.NoError(t, (<-a.StreamCh()).Close())
	})
}

func TestADeadlineThatPassesInAStallCountsAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, _, accepted := pair(t, memnet.Options{})
		require.NoError(t, accepted.SetReadDeadline(time.Now().Add(time.Second)))
		n.Stall(hostB)
		took := later(func() {
			_, err := accepted.Read(make([]byte, 1))
			requireTimeout(t, err)
		})
		time.Sleep(time.Minute)
		n.Resume(hostB)
		require.Equal(t, time.Minute, <-took)
	})
}

func TestAStallBeginsWhileADialIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: time.Second})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		took := later(func() {
			conn, err := b.DialTimeout(hostA.String(), 10*time.Second)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		})
		time.Sleep(time.Second)
		n.Stall(hostB)
		accepted := <-a.StreamCh()
		time.Sleep(time.Minute)
		n.Resume(hostB)
		require.Equal(t, time.Minute+2*time.Second, <-took)
		require.NoError(t, accepted.Close())
	})
}

func TestAStallBoundsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		n.Stall(hostB)
		for range 4096 + 3 {
			send(t, a, hostB, "x")
		}
		for range 1024 {
			conn, err := a.DialTimeout(hostB.String(), time.Second)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		}
		require.Equal(t, time.Second, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), time.Second)
			requireTimeout(t, err)
		}))
		n.Resume(hostB)
		require.Len(t, received(b), 4096)
		require.Equal(t, uint64(3), n.Stats().PacketsDropped.InboxFull)
		require.Equal(t, memnet.DialFailures{BacklogFull: 1}, n.Stats().DialsFailed)
		for range 1024 {
			require.NoError(t, (<-b.StreamCh()).Close())
		}
	})
}

func TestAStalledProcessCanEnd(t *testing.T) {
	for name, end := range map[string]func(*memnet.Network, memberlist.Transport){
		"by a shutdown": func(_ *memnet.Network, b memberlist.Transport) { _ = b.Shutdown() },
		"by a kill":     func(n *memnet.Network, _ memberlist.Transport) { n.Kill(hostB) },
		"by a crash":    func(n *memnet.Network, _ memberlist.Transport) { n.Crash(hostB) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t, memnet.Options{})
				a, b := listen(t, n, hostA), listen(t, n, hostB)
				dialled, accepted := connect(t, a, b)
				n.Stall(hostB)
				took := later(func() { _, _ = b.WriteTo([]byte("x"), hostA.String()) })
				require.NoError(t, accepted.Close())
				synctest.Wait()
				require.Empty(t, readNow(t, dialled), "what a stalled process does is not seen")
				send(t, a, hostB, "never read")
				end(n, b)
				require.Less(t, <-took, time.Second)
				require.Empty(t, received(a))
				require.Empty(t, received(b))
				n.Resume(hostB)
				connect(t, a, listen(t, n, hostB))
			})
		})
	}
}
