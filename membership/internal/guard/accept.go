package guard

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// accept takes streams from the inner transport until that has shut down. The inner
// transport cannot shut down while a stream waits to be taken.
func (g *Guard) accept() {
	for {
		select {
		case conn, ok := <-g.transport.StreamCh():
			if !ok {
				return
			}
			g.acceptOne(conn)
		case <-g.stopped:
			g.closeWaiting()
			return
		}
	}
}

// closeWaiting closes the streams that are left in the buffer of a transport.
func (g *Guard) closeWaiting() {
	for {
		select {
		case conn, ok := <-g.transport.StreamCh():
			if !ok {
				return
			}
			_ = conn.Close()
		default:
			return
		}
	}
}

func (g *Guard) acceptOne(conn net.Conn) {
	in := newInbound(g, conn, sourceOf(conn))
	if !g.admitStream(in) {
		_ = conn.Close()
		return
	}
	g.wg.Go(func() { g.receive(in) })
}

// sourceOf returns the IP address of the other end; it is not valid when the
// transport has none.
func sourceOf(conn net.Conn) netip.Addr {
	remote := conn.RemoteAddr()
	if tcp, ok := remote.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	if remote == nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

// admitStream counts an inbound stream, and reports whether it is admitted: not beyond
// a limit, and not once Shutdown has begun.
func (g *Guard) admitStream(in *inbound) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return false
	case g.inbound >= g.opts.MaxStreams:
		g.refused.overTotal.Add(1)
		return false
	case in.source.IsValid() && g.perSource[in.source] >= g.opts.MaxPerSource:
		g.refused.overSource.Add(1)
		return false
	}
	g.inbound++
	if in.source.IsValid() {
		g.perSource[in.source]++
	}
	g.open[in] = struct{}{}
	return true
}

// releaseStream ends the count of an inbound stream.
func (g *Guard) releaseStream(in *inbound) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, in)
	g.inbound--
	if !in.source.IsValid() {
		return
	}
	if g.perSource[in.source]--; g.perSource[in.source] == 0 {
		delete(g.perSource, in.source)
	}
}

// receive reads the label, and then passes the stream to memberlist or refuses it.
func (g *Guard) receive(in *inbound) {
	head, label, err := g.readHead(in)
	switch {
	case errors.Is(err, io.EOF), err != nil && g.isClosing():
		_ = in.Close() // a port scan, a health check, or Shutdown
	case err != nil:
		g.refused.badHead.Add(1)
		g.warnf("stream without a valid beginning: %v from=%v", err, in.RemoteAddr())
		_ = in.Close()
	case label != g.opts.Label:
		g.refused.otherLabel.Add(1)
		g.warnf("refused a stream of another cluster, %q from=%v", label, in.RemoteAddr())
		g.refuse(in)
	default:
		in.replay = head
		if g.opts.Encrypted {
			in.check = &cipherCheck{skip: 2 + len(label)}
		}
		g.traffic.streamsAccepted.Add(1)
		select {
		case g.streams <- in:
		case <-g.closing:
			_ = in.Close()
		}
	}
}

// readHead reads until the label is complete and returns all that it read.
func (g *Guard) readHead(in *inbound) (head []byte, label string, err error) {
	if err := in.SetReadDeadline(time.Now().Add(g.opts.HeadTimeout)); err != nil {
		return nil, "", err
	}
	buf := make([]byte, 0, maxLabelHead)
	for {
		label, missing, err := peekLabel(buf)
		if err != nil {
			return nil, "", err
		}
		if missing == 0 {
			// From here on memberlist sets the deadlines. An error says that the sender has closed
			// the stream. What was read may be a whole message.
			_ = in.SetReadDeadline(time.Time{})
			return buf, string(label), nil
		}
		n, err := in.Read(buf[len(buf):cap(buf)])
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) && len(buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, "", err
		}
		buf = buf[:len(buf)+n]
	}
}

// refuse answers with the refusal frame and closes the stream. It keeps reading, within
// the limits of time and bytes, because the other side sends its state before it reads.
// Closing with unread bytes would reset the connection, and the frame would be lost.
func (g *Guard) refuse(in *inbound) {
	defer func() { _ = in.Close() }()
	if err := in.SetDeadline(time.Now().Add(g.opts.HeadTimeout)); err != nil {
		return
	}
	written := make(chan struct{})
	g.wg.Go(func() {
		defer close(written)
		_, err := in.Write(refusalFrame())
		if half, ok := in.Conn.(interface{ CloseWrite() error }); ok && err == nil {
			_ = half.CloseWrite()
		}
	})
	_, _ = io.Copy(io.Discard, in)
	<-written
}

func (g *Guard) isClosing() bool {
	select {
	case <-g.closing:
		return true
	default:
		return false
	}
}

func (g *Guard) warnf(format string, args ...any) {
	if g.opts.Logger != nil {
		g.opts.Logger.Printf("[WARN] "+format, args...)
	}
}
