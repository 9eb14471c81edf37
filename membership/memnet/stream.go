package memnet

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// stream is one end of a link, and behaves like a TCP connection, except that
// its buffer is larger and that closing it with unread data resets nothing.
type stream struct {
	link          *link
	side          int
	local, remote *net.TCPAddr

	// Guarded by link.mu.
	readDeadline, writeDeadline time.Time
}

var _ net.Conn = (*stream)(nil)

// Read returns bytes that have arrived. It blocks until there are some, the other end
// or this one was closed, or the read deadline passes. After the deadline it returns no
// bytes, even if some have arrived.
func (s *stream) Read(b []byte) (int, error) {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.halves[1-s.side]
	for {
		if s.stopped() {
			l.wait(time.Time{})
			continue
		}
		now := time.Now()
		if err := s.check(s.readDeadline, now); err != nil {
			return 0, s.fail("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		full := h.size >= streamBuffer
		if n := h.take(b, now); n > 0 {
			if full {
				l.change.Broadcast()
			}
			return n, nil
		}
		if h.ended(now) {
			return 0, io.EOF
		}
		l.wait(earliest(s.readDeadline, h.nextArrival()))
	}
}

// Write sends all bytes, or returns an error with the number of bytes that it sent. It
// blocks only while the buffer is full, until the write deadline passes. Concurrent
// writes do not mix. Once this host knows that the other end closed, Write fails with
// [syscall.EPIPE]; before that, the bytes are lost.
func (s *stream) Write(b []byte) (written int, err error) {
	l := s.link
	// The network's lock comes before the link's, hence the delay is drawn here.
	l.net.mu.Lock()
	delay := l.net.segmentDelay(l.ends[s.side].addr, l.ends[1-s.side].addr)
	l.net.mu.Unlock()

	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.halves[s.side]
	mine := false // whether it is this call's turn
	defer func() {
		if mine {
			h.busy = false
			l.change.Broadcast()
		}
		l.net.streamBytes.Add(uint64(written))
	}()
	for {
		if s.stopped() {
			l.wait(time.Time{})
			continue
		}
		now := time.Now()
		if err := s.check(s.writeDeadline, now); err != nil {
			return written, s.fail("write", err)
		}
		if l.closed[1-s.side] {
			if l.halves[1-s.side].endArrived(now) {
				return written, s.fail("write", syscall.EPIPE)
			}
			return written + len(b), nil
		}
		if !mine && !h.busy {
			mine, h.busy = true, true
		}
		if mine {
			n := min(len(b), streamBuffer-h.size)
			if n > 0 {
				h.push(b[:n], false, now, delay, false)
				l.change.Broadcast()
				written += n
				b = b[n:]
			}
			if len(b) == 0 {
				return written, nil
			}
		}
		l.wait(s.writeDeadline)
	}
}

// Close ends the stream for this side. The other side reads the written bytes and then
// gets [io.EOF]. Blocked calls of this side return [net.ErrClosed]. Closing again has
// no effect. It never blocks and always returns nil.
func (s *stream) Close() error {
	l := s.link
	l.net.mu.Lock()
	delay := l.net.segmentDelay(l.ends[s.side].addr, l.ends[1-s.side].addr)
	l.net.mu.Unlock()
	if s.end(delay) {
		l.net.mu.Lock()
		l.net.links.Remove(l.place)
		l.net.mu.Unlock()
	}
	return nil
}

// end closes this side, and reports whether this call closed the second of the two
// sides.
func (s *stream) end(delay time.Duration) bool {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed[s.side] {
		return false
	}
	l.closed[s.side] = true
	l.halves[s.side].push(nil, true, time.Now(), delay, l.stalled[s.side])
	l.halves[1-s.side].discard()
	l.change.Broadcast()
	return l.closed[1-s.side]
}

// LocalAddr returns this end's address. The end that dialled has its own port, another
// one than that on which its transport listens.
func (s *stream) LocalAddr() net.Addr { return s.local }

// RemoteAddr returns the other end's address.
func (s *stream) RemoteAddr() net.Addr { return s.remote }

// SetDeadline sets both deadlines.
func (s *stream) SetDeadline(t time.Time) error { return s.setDeadlines(&t, &t) }

// SetReadDeadline sets the deadline of reads, also of blocked ones. Zero means no
// deadline.
func (s *stream) SetReadDeadline(t time.Time) error { return s.setDeadlines(&t, nil) }

// SetWriteDeadline sets the deadline of writes, also of blocked ones. Zero means no
// deadline.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.setDeadlines(nil, &t) }

func (s *stream) setDeadlines(read, write *time.Time) error {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed[s.side] {
		return s.fail("set", net.ErrClosed)
	}
	if read != nil {
		s.readDeadline = *read
	}
	if write != nil {
		s.writeDeadline = *write
	}
	l.change.Broadcast()
	return nil
}

// stopped reports whether the process of this end is stalled, and has not closed it. The
// caller holds link.mu.
func (s *stream) stopped() bool { return s.link.stalled[s.side] && !s.link.closed[s.side] }

// check returns why this end cannot be used now. The caller holds link.mu.
func (s *stream) check(deadline, now time.Time) error {
	switch {
	case s.link.closed[s.side]:
		return net.ErrClosed
	case s.link.wasReset:
		return syscall.ECONNRESET
	case !deadline.IsZero() && !now.Before(deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// fail wraps an error as the net package does, because memberlist inspects it to
// distinguish a failure of the peer from its own.
func (s *stream) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.local, Addr: s.remote, Err: err}
}

// earliest returns the earlier of two instants. Zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
