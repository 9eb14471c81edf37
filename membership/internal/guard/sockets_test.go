package guard

import (
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// listenGuarded returns a guard over real sockets and its address.
func listenGuarded(t *testing.T, o Options) (*Guard, string) {
	t.Helper()
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{"127.0.0.1"}, Logger: log.New(io.Discard, "", 0),
	})
	require.NoError(t, err)
	g := New(inner, o)
	ip, port, err := g.FinalAdvertiseAddr("", 0)
	require.NoError(t, err)
	return g, net.JoinHostPort(ip.String(), strconv.Itoa(port))
}

func TestGuardOverSockets(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	here, addr := listenGuarded(t, Options{Label: "orders"})
	there, _ := listenGuarded(t, Options{Label: "orders"})

	conn, err := there.DialTimeout(addr, 5*time.Second)
	require.NoError(t, err)
	sent := append(labelHead("orders"), pingBytes...)
	_, err = conn.Write(sent)
	require.NoError(t, err)
	in := <-here.StreamCh()
	got, err := io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, sent, got)
	_, err = in.Write([]byte{ackMessage, 0x80})
	require.NoError(t, err)
	got = make([]byte, 2)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, []byte{ackMessage, 0x80}, got)

	_, err = here.WriteTo(sent, addr)
	require.NoError(t, err)
	require.Equal(t, sent, (<-here.PacketCh()).Buf)

	require.NoError(t, here.Shutdown()) // both streams are still open
	_, err = conn.Write(sent)
	for err == nil { // the first one may arrive before the reset
		_, err = conn.Write(sent)
	}
	require.NoError(t, there.Shutdown())
	_ = in.Close() // memberlist closes it again
	goleak.VerifyNone(t, ignore)
}

// Shutdown during a flood of streams and packets that memberlist does not take.
func TestGuardShutdownDuringFlood(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	g, addr := listenGuarded(t, Options{Label: "orders", MaxStreams: 10, MaxPerSource: 8})

	stop := make(chan struct{})
	var flood sync.WaitGroup
	for i := range 4 {
		first := [][]byte{append(labelHead("orders"), pingBytes...), labelHead("billing"), {6}, nil}[i]
		flood.Go(func() { floodGuard(g, addr, first, stop) })
	}
	end := sync.OnceFunc(func() {
		close(stop)
		flood.Wait()
	})
	defer end()
	defer func() { _ = g.Shutdown() }()

	// Streams that are not taken keep their slots, so the limit is always reached.
	require.Eventually(t, func() bool { return g.Counts().OverSource > 20 }, 20*time.Second, time.Millisecond)
	require.LessOrEqual(t, liveStreams(g), 8)
	require.NoError(t, g.Shutdown())
	end()
	require.Zero(t, liveStreams(g))
	goleak.VerifyNone(t, ignore)
}

// floodGuard opens streams that begin with first, and keeps the last few open,
// until stop is closed.
func floodGuard(g *Guard, addr string, first []byte, stop <-chan struct{}) {
	var kept [16]net.Conn
	for i := 0; ; i++ {
		select {
		case <-stop:
			for _, conn := range kept {
				if conn != nil {
					_ = conn.Close()
				}
			}
			return
		default:
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		_, _ = conn.Write(first)
		_, _ = g.WriteTo([]byte("x"), addr)
		slot := &kept[i%len(kept)]
		if *slot != nil {
			_ = (*slot).Close()
		}
		*slot = conn
	}
}

// The guard does not send the cluster's name to unknown processes.
func TestGuardDoesNotTellItsName(t *testing.T) {
	g, addr := listenGuarded(t, Options{Label: "secret-orders"})
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	require.NoError(t, err)
	_, err = conn.Write([]byte{6})
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, refusalFrame(), got)
	require.NoError(t, conn.Close())
	require.NoError(t, g.Shutdown())
}
