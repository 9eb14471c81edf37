package guard

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
)

var errStreamTooLong = errors.New("membership: stream carries more than it may")

// inbound is an accepted stream. It first returns the bytes that were read to find the
// label. It reads at most the allowed number of bytes, and frees its slot when it is
// closed.
type inbound struct {
	net.Conn
	source  netip.Addr // not valid when the transport has none
	traffic *trafficCounts
	release func() // once

	refused func() // counts a stream that does not pass the check

	mu     sync.Mutex // orders reads
	replay []byte
	left   int64
	check  *cipherCheck // nil: in clear, or the label is still to come
}

func newInbound(g *Guard, conn net.Conn, source netip.Addr) *inbound {
	in := &inbound{Conn: conn, source: source, traffic: &g.traffic, left: g.opts.MaxBytes}
	in.release = sync.OnceFunc(func() { g.releaseStream(in) })
	in.refused = func() { g.refused.badCipher.Add(1) }
	return in
}

// Read is safe for concurrent use. It fails and closes the stream after maxBytes, and
// when the encryption is not of the version in use.
func (c *inbound) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.read(p)
	if c.check != nil && !c.check.pass(p[:n]) {
		c.refused()
		_ = c.Close()
		return 0, errCipherVersion
	}
	return n, err
}

func (c *inbound) read(p []byte) (int, error) {
	if len(c.replay) > 0 {
		n := copy(p, c.replay)
		c.replay = c.replay[n:]
		return n, nil
	}
	n, err := readBounded(c.Conn, p, &c.left)
	c.traffic.streamBytesReceived.Add(uint64(n))
	if errors.Is(err, errStreamTooLong) {
		_ = c.Close()
	}
	return n, err
}

// Write counts what is sent.
func (c *inbound) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.traffic.streamBytesSent.Add(uint64(n))
	return n, err
}

// Close closes the stream. Further calls have no effect.
func (c *inbound) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// readBounded reads at most *left bytes, and subtracts the number of read bytes from
// it. It fails when *left is zero, also at the end of the stream.
func readBounded(r io.Reader, p []byte, left *int64) (int, error) {
	if *left <= 0 {
		return 0, errStreamTooLong
	}
	if int64(len(p)) > *left {
		p = p[:*left]
	}
	n, err := r.Read(p)
	*left -= int64(n)
	return n, err
}

// outbound is a dialed stream that checks the beginning of the answer.
type outbound struct {
	net.Conn
	g    *Guard
	addr string // as dialed

	mu      sync.Mutex // orders reads
	head    []byte     // read and not yet returned
	known   bool       // the beginning is an ordinary answer
	refusal *Refusal
	left    int64
	check   *cipherCheck // nil: in clear
}

func newOutbound(g *Guard, conn net.Conn, addr string) *outbound {
	out := &outbound{Conn: conn, g: g, addr: addr, left: g.opts.MaxBytes}
	if g.opts.Encrypted {
		out.check = &cipherCheck{}
	}
	return out
}

// Read is safe for concurrent use. A refusal is returned as *Refusal, by
// this and all further calls.
func (c *outbound) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.read(p)
	if c.check != nil && !c.check.pass(p[:n]) {
		c.g.refused.badCipher.Add(1)
		_ = c.Close()
		return 0, errCipherVersion
	}
	return n, err
}

func (c *outbound) read(p []byte) (int, error) {
	for !c.known {
		if c.refusal != nil {
			return 0, c.refusal
		}
		if len(p) == 0 {
			return 0, nil
		}
		if err := c.readHead(); err != nil {
			if len(c.head) == 0 {
				return 0, err
			}
			c.known = true // ended early: the reader sees the bytes, then the error again
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := readBounded(c.Conn, p, &c.left)
	c.g.traffic.streamBytesReceived.Add(uint64(n))
	if errors.Is(err, errStreamTooLong) {
		_ = c.Close()
	}
	return n, err
}

// readHead reads once more, and checks whether the bytes are enough to recognize a
// refusal.
func (c *outbound) readHead() error {
	missing, _ := parseRefusal(c.head)
	more := make([]byte, missing)
	n, err := readBounded(c.Conn, more, &c.left)
	c.g.traffic.streamBytesReceived.Add(uint64(n))
	c.head = append(c.head, more[:n]...)
	if n == 0 {
		return err
	}
	missing, refusal := parseRefusal(c.head)
	switch {
	case refusal != nil:
		refusal.Addr = c.addr
		c.refusal, c.head = refusal, nil
		c.g.answered(c.addr, refusal)
	case missing == 0:
		c.known = true
		c.g.answered(c.addr, nil)
	}
	return nil
}

// Write closes the stream when it fails: memberlist drops a stream whose label
// it could not write without closing it.
func (c *outbound) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.g.traffic.streamBytesSent.Add(uint64(n))
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// Close closes the stream. Further calls have no effect.
func (c *outbound) Close() error {
	c.g.untrack(c)
	return c.Conn.Close()
}
