package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// pipeTransport is an inner transport whose streams the test makes. Like
// memberlist's own, it hands streams and packets over unbuffered, and its
// Shutdown waits until the receiver took those that arrived.
type pipeTransport struct {
	streams chan net.Conn
	packets chan *memberlist.Packet
	answers chan net.Conn // the far ends of dialed streams
	arrived sync.WaitGroup
	failure error
}

var _ transport = (*pipeTransport)(nil)

func newPipeTransport() *pipeTransport {
	return &pipeTransport{
		streams: make(chan net.Conn),
		packets: make(chan *memberlist.Packet),
		answers: make(chan net.Conn, 64),
	}
}

func (*pipeTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IPv4(127, 0, 0, 1), 7946, nil
}

func (*pipeTransport) WriteTo([]byte, string) (time.Time, error) { return time.Now(), nil }

func (*pipeTransport) WriteToAddress([]byte, memberlist.Address) (time.Time, error) {
	return time.Now(), nil
}

func (p *pipeTransport) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *pipeTransport) StreamCh() <-chan net.Conn           { return p.streams }

func (p *pipeTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return p.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (p *pipeTransport) DialAddressTimeout(memberlist.Address, time.Duration) (net.Conn, error) {
	if p.failure != nil {
		return nil, p.failure
	}
	near, far := net.Pipe()
	p.answers <- far
	return near, nil
}

func (p *pipeTransport) Shutdown() error {
	p.arrived.Wait()
	return errors.New("inner shutdown was called")
}

// connect makes a stream arrive from the address and returns the caller's end.
func (p *pipeTransport) connect(from string) net.Conn {
	near, far := net.Pipe()
	addr, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		panic(err)
	}
	p.arrived.Go(func() { p.streams <- addressed{far, addr} })
	return near
}

type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

// inBubble runs a guard over a pipeTransport in virtual time and shuts it down.
func inBubble(t *testing.T, o Options, f func(t *testing.T, g *Guard, p *pipeTransport)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPipeTransport()
		g := New(p, o)
		defer func() { _ = g.Shutdown() }()
		f(t, g, p)
		require.EqualError(t, g.Shutdown(), "inner shutdown was called")
		require.Empty(t, g.open)
		for _, b := range []*budget{&g.known, &g.strangers} {
			require.Empty(t, b.charges)
			require.Zero(t, b.bytes)
		}
	})
}

// liveStreams returns the number of counted inbound streams.
func liveStreams(g *Guard) int {
	n := 0
	for _, b := range []*budget{&g.known, &g.strangers} {
		b.mu.Lock()
		for c := range b.charges {
			if !c.dialed {
				n++
			}
		}
		b.mu.Unlock()
	}
	return n
}

// requireClosed requires that the other side closed the stream.
func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute)) // a pipe that is closed refuses it
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// closed is a stream whose sender closes it right after its message, as a pipe shows it: setting a
// deadline then is an error, though the message is there.
type closed struct{ net.Conn }

func (c closed) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		return io.ErrClosedPipe
	}
	return c.Conn.SetReadDeadline(t)
}

func TestGuardPassesAMessageOnWhoseSenderHasClosed(t *testing.T) {
	inBubble(t, Options{Label: "orders"}, func(t *testing.T, g *Guard, p *pipeTransport) {
		sent := append(labelHead("orders"), userBytes(3)...)
		near, far := net.Pipe()
		p.arrived.Go(func() { p.streams <- closed{far} })
		go func() {
			_, _ = near.Write(sent)
			_ = near.Close()
		}()
		conn := <-g.StreamCh()
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, sent, got)
		require.NoError(t, conn.Close())
		require.Zero(t, g.Counts())
	})
}
