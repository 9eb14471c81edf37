package guard

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/membership/internal/intake"
)

// sentBytes and readBytes are about how many bytes the kernel keeps of a stream from an unknown sender: bytes of
// the answer, and bytes that the guard has not read. Otherwise it may keep some MiB of each.
const sentBytes, readBytes = 256 << 10, 64 << 10

// inbound is an accepted stream. The guard reads the whole message before memberlist reads it.
type inbound struct {
	net.Conn
	traffic *trafficCounts
	charge  *charge
	reader  reader // reads the label and the message
	release func() // once

	mu     sync.Mutex // orders reads of memberlist
	replay []byte     // the message, as far as memberlist has not read it
}

func newInbound(g *Guard, conn net.Conn, source netip.Addr) *inbound {
	in := &inbound{Conn: conn, traffic: &g.traffic}
	in.release = sync.OnceFunc(func() { g.releaseStream(in) })
	in.charge = &charge{
		budget: g.budgetOf(source), source: intake.NetworkOf(source), began: time.Now(), close: func() { _ = in.Close() },
		ended: make(chan struct{}),
	}
	if buffers, ok := conn.(interface {
		SetReadBuffer(n int) error
		SetWriteBuffer(n int) error
	}); ok && in.charge.budget == &g.strangers {
		_, _ = buffers.SetReadBuffer(readBytes), buffers.SetWriteBuffer(sentBytes) // a system without them has bounds of its own
	}
	in.reader.more = collect(&in.reader, pacedReader{conn, in.charge, 1}, in.charge, g.traffic.streamBytesReceived.add)
	return in
}

// Read returns the bytes of the message. Nothing follows it.
func (c *inbound) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.replay) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.replay)
	c.replay = c.replay[n:]
	return n, nil
}

// Write counts what is sent.
func (c *inbound) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.traffic.streamBytesSent.add(n)
	return n, err
}

// closeWrite says that nothing more is sent, where the transport can.
func (c *inbound) closeWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the stream. Further calls have no effect.
func (c *inbound) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// outbound is a dialed stream. It checks the beginning of the answer, and then reads the whole
// answer before memberlist reads it.
type outbound struct {
	net.Conn
	g      *Guard
	addr   string // the address that was dialed
	charge *charge

	mu      sync.Mutex // orders reads
	reader  reader     // reads the answer
	whole   bool       // the answer is complete
	replay  []byte     // the answer, as far as memberlist has not read it
	refusal *Refusal
}

func newOutbound(g *Guard, conn net.Conn, addr string) *outbound {
	out := &outbound{Conn: conn, g: g, addr: addr}
	out.charge = &charge{budget: &g.known, dialed: true, began: time.Now(), close: func() { _ = out.Close() }}
	if dialed, err := netip.ParseAddrPort(addr); err == nil {
		out.charge.source = intake.NetworkOf(dialed.Addr().Unmap())
	}
	out.reader.more = collect(&out.reader, conn, out.charge, g.traffic.streamBytesReceived.add)
	return out
}

// Read is safe for concurrent use. A refusal is returned as *Refusal, by
// this and all further calls.
func (c *outbound) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if c.refusal != nil {
		return 0, c.refusal
	}
	if !c.whole {
		if err := c.readAnswer(); err != nil {
			return 0, err
		}
	}
	if len(c.replay) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.replay)
	c.replay = c.replay[n:]
	return n, nil
}

// readAnswer reads the answer. It may be called again after an error: a timeout loses nothing.
func (c *outbound) readAnswer() error {
	if err := c.readHead(); err != nil {
		return err
	}
	c.reader.at = 0
	whole, err := c.g.whole(&c.reader, c.charge, c.g.opts.Label)
	if err != nil {
		if _, temporary := errors.AsType[net.Error](err); !temporary {
			if errors.Is(err, errCipherVersion) || errors.Is(err, errOverBudget) {
				c.g.countMessage(err)
			}
			_ = c.Close()
		}
		return err
	}
	c.g.answered(c.addr, nil)
	c.charge.complete()
	c.whole, c.replay, c.reader.buf = true, whole, nil
	return nil
}

// readHead reads until the bytes are enough to recognize a refusal, and returns it.
func (c *outbound) readHead() error {
	for {
		missing, refusal := parseRefusal(c.reader.buf)
		switch {
		case refusal != nil:
			refusal.Addr = c.addr
			c.refusal, c.reader.buf = refusal, nil
			c.g.answered(c.addr, refusal)
			return refusal
		case missing == 0:
			return nil
		}
		if err := c.reader.more(1); err != nil {
			if errors.Is(err, io.EOF) && len(c.reader.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// Write closes the stream when it fails: memberlist drops a stream whose label
// it could not write without closing it. It fails for an exchange of members while this member must not
// announce that it is alive.
func (c *outbound) Write(p []byte) (int, error) {
	if c.g.withheld() != nil && c.g.isExchange(p, c.g.opts.Label) {
		_ = c.Close()
		return 0, errWithheld
	}
	n, err := c.Conn.Write(p)
	c.g.traffic.streamBytesSent.add(n)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// Close closes the stream. Further calls have no effect.
func (c *outbound) Close() error {
	c.g.untrack(c)
	c.charge.release()
	return c.Conn.Close()
}
