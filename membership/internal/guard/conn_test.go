package guard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const dialedAddr = "10.0.0.9:7946"

// answer dials through the guard, and the other side answers in the given parts.
func answer(t *testing.T, g *Guard, p *pipeTransport, parts ...[]byte) net.Conn {
	t.Helper()
	conn, err := g.DialTimeout(dialedAddr, time.Second)
	require.NoError(t, err)
	far := <-p.answers
	go func() {
		for _, part := range parts {
			_, _ = far.Write(part)
		}
		_ = far.Close()
	}()
	return conn
}

func TestGuardReadsRefusals(t *testing.T) {
	frame := refusalFrame()
	inBubble(t, Options{}, func(t *testing.T, g *Guard, p *pipeTransport) {
		for _, parts := range [][][]byte{{frame}, {frame[:1], frame[1:3], frame[3:]}, {append(frame, 1, 2, 3)}} {
			conn := answer(t, g, p, parts...)
			n, err := conn.Read(nil)
			require.NoError(t, err)
			require.Zero(t, n)
			for range 2 {
				_, err := conn.Read(make([]byte, 100))
				require.ErrorIs(t, err, ErrClusterName)
				var refused *Refusal
				require.ErrorAs(t, err, &refused)
				require.Equal(t, dialedAddr, refused.Addr)
			}
			require.NoError(t, conn.Close())
			addr := netip.MustParseAddrPort("[::ffff:10.0.0.9]:7946")
			require.ErrorIs(t, g.TakeRefusal(addr), ErrClusterName)
			require.NoError(t, g.TakeRefusal(addr))
		}
	})
}

func TestGuardPassesAnswersOn(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, p *pipeTransport) {
		for _, test := range []struct {
			sent string
			err  error
		}{
			{"", nil}, {"\x02\x80", nil}, {"\x06\x80", nil}, {"\x02\x80more", nil},
			{"\x06", io.ErrUnexpectedEOF}, {"\x06abcdefgh", errNotGossip}, {"\x09\x80", io.ErrUnexpectedEOF},
			{"\xc1", io.ErrUnexpectedEOF}, {"\xc1c", io.ErrUnexpectedEOF}, {"\xc1cx", errNotGossip},
			{"\xc1ck\x01", io.ErrUnexpectedEOF},
		} {
			conn := answer(t, g, p, []byte(test.sent))
			got, err := io.ReadAll(conn)
			require.ErrorIs(t, err, test.err, "%q", test.sent)
			if test.err == nil {
				require.Equal(t, test.sent[:min(len(test.sent), 2)], string(got))
			} else {
				require.Empty(t, got, "%q", test.sent)
			}
			_ = conn.Close()
			require.NoError(t, g.TakeRefusal(netip.MustParseAddrPort(dialedAddr)))
		}
	})
}

func TestGuardForgetsRefusalAfterAnswer(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, p *pipeTransport) {
		refused := answer(t, g, p, refusalFrame())
		_, err := io.ReadAll(refused)
		require.ErrorIs(t, err, ErrClusterName)
		ok := answer(t, g, p, []byte{ackMessage, 0x80})
		_, err = io.ReadAll(ok)
		require.NoError(t, err)
		require.NoError(t, g.TakeRefusal(netip.MustParseAddrPort(dialedAddr)))
		require.NoError(t, refused.Close())
		require.NoError(t, ok.Close())
	})
}

func TestGuardRemembersBoundedly(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, _ *pipeTransport) {
		refusal := &Refusal{Reason: ErrClusterName}
		for i := range 2 * maxRefusals {
			g.answered(fmt.Sprintf("10.0.%d.%d:7946", i/256, i%256), refusal)
		}
		require.Len(t, g.refusals, maxRefusals)
		g.answered("a-name:7946", refusal)
		require.Len(t, g.refusals, maxRefusals)
	})
}

// An answer is read as far as its sender sends, and within the budget.
func TestGuardBoundsAnswers(t *testing.T) {
	inBubble(t, Options{MaxBytes: 2048}, func(t *testing.T, g *Guard, p *pipeTransport) {
		conn := answer(t, g, p, userBytes(10000))
		_, err := io.ReadAll(conn)
		require.ErrorIs(t, err, errOverBudget)
		require.Empty(t, g.open)
		require.Zero(t, g.known.bytes)
	})
}

func TestGuardDeadlinesPassThrough(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, p *pipeTransport) {
		conn, err := g.DialTimeout(dialedAddr, time.Second)
		require.NoError(t, err)
		far := <-p.answers
		for range 2 {
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Second)))
			_, err = conn.Read(make([]byte, 1))
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
		}
		require.NoError(t, conn.SetDeadline(time.Time{}))
		go func() { _, _ = far.Write(refusalFrame()) }()
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrClusterName, "a timeout loses nothing")
		require.NoError(t, far.Close())
	})
}

// memberlist forgets to close a stream whose label it could not write.
func TestGuardClosesStreamsThatFailToWrite(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, p *pipeTransport) {
		conn, err := g.DialTimeout(dialedAddr, time.Second)
		require.NoError(t, err)
		require.Len(t, g.open, 1)
		require.NoError(t, (<-p.answers).Close())
		_, err = conn.Write([]byte{labelMark})
		require.ErrorIs(t, err, io.ErrClosedPipe)
		require.Empty(t, g.open)
	})
}

func TestGuardDialErrorIsUntouched(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, p *pipeTransport) {
		p.failure = errors.New("no route")
		_, err := g.DialTimeout(dialedAddr, time.Second)
		require.Same(t, p.failure, err, "memberlist looks at its type")
		require.Empty(t, g.open)
	})
}

func TestGuardShutdownClosesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeTransport()
		g := New(p, Options{Label: "orders"})

		silent := p.connect("10.0.0.1:1")
		foreign := p.connect("10.0.0.1:2")
		_, err := foreign.Write(labelHead("billing"))
		require.NoError(t, err)
		taken := p.connect("10.0.0.1:3")
		_, err = taken.Write(append(labelHead("orders"), pingBytes...))
		require.NoError(t, err)
		conn := <-g.StreamCh()
		untaken := p.connect("10.0.0.1:4")
		_, err = untaken.Write(append(labelHead("orders"), pingBytes...))
		require.NoError(t, err)
		dialed, err := g.DialTimeout(dialedAddr, time.Second)
		require.NoError(t, err)
		far := <-p.answers
		for range 3 { // packets that are not taken any more
			p.arrived.Go(func() { p.packets <- nil })
		}
		synctest.Wait()

		// A stream that arrives at this moment must not block the inner transport.
		late := p.connect("10.0.0.1:5")
		for range 3 {
			go func() { _ = g.Shutdown() }()
		}
		require.EqualError(t, g.Shutdown(), "inner shutdown was called")
		require.EqualError(t, g.Shutdown(), "inner shutdown was called")

		for _, other := range []net.Conn{silent, taken, untaken, far, late} {
			requireClosed(t, other)
		}
		_, err = io.ReadAll(foreign)
		require.NoError(t, err)
		_, err = conn.Write([]byte{1})
		require.ErrorIs(t, err, io.ErrClosedPipe)
		_, err = dialed.Write([]byte{1})
		require.ErrorIs(t, err, io.ErrClosedPipe)

		_, err = g.DialTimeout(dialedAddr, time.Second)
		require.ErrorIs(t, err, net.ErrClosed)
		require.EqualError(t, err, "membership: dialing 10.0.0.9:7946: use of closed network connection")
		require.Empty(t, g.open)
		require.Zero(t, liveStreams(g))
		require.Zero(t, g.Counts().BadHead, "our own end is nobody's fault")
		_ = conn.Close()
		require.Zero(t, liveStreams(g))
	})
}

// memberlist announces an IPv4 address in 4 bytes, also with a transport that gives 16.
func TestGuardAnnouncesTheShortForm(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, g *Guard, _ *pipeTransport) {
		addr, port, err := g.FinalAdvertiseAddr("", 0)
		require.NoError(t, err)
		require.Equal(t, net.IP{127, 0, 0, 1}, addr)
		require.Equal(t, 7946, port)
	})
}

// buffered records which buffers the kernel is asked for.
type buffered struct {
	net.Conn
	read, sent chan int
}

func (b buffered) SetReadBuffer(n int) error  { b.read <- n; return nil }
func (b buffered) SetWriteBuffer(n int) error { b.sent <- n; return nil }
func (b buffered) RemoteAddr() net.Addr       { return b.Conn.RemoteAddr() }

// The kernel keeps few bytes of streams of senders that are not known.
func TestGuardBoundsTheBuffersOfTheKernel(t *testing.T) {
	known := func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.9") }
	inBubble(t, Options{Label: "orders", Known: known}, func(t *testing.T, _ *Guard, p *pipeTransport) {
		for addr, want := range map[string]int{"10.0.0.1": 1, "10.0.0.9": 0} {
			near, far := net.Pipe()
			b := buffered{addressed{far, &net.TCPAddr{IP: net.ParseIP(addr), Port: 1}}, make(chan int, 1), make(chan int, 1)}
			p.arrived.Go(func() { p.streams <- b })
			synctest.Wait()
			require.Len(t, b.read, want)
			require.Len(t, b.sent, want)
			require.NoError(t, near.Close())
		}
	})
}
