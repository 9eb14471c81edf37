package guard

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/membership/internal/intake"
)

func (g *Guard) acceptOne(conn net.Conn) {
	in := newInbound(g, conn, intake.SourceOf(conn.RemoteAddr()))
	if !g.admitStream(in) {
		_ = conn.Close()
		return
	}
	g.wg.Go(func() { g.receive(in) })
}

// admitStream charges an inbound stream to a budget, and reports whether the stream is
// admitted. It is not admitted when the budget is full and no other stream may be closed, or
// when Shutdown has begun.
func (g *Guard) admitStream(in *inbound) bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	g.open[in] = struct{}{}
	g.mu.Unlock()
	admitted, limit := in.charge.budget.admit(in.charge)
	switch limit {
	case fullTotal:
		g.refused.overTotal.Add(1)
	case fullSource:
		g.refused.overSource.Add(1)
	}
	if !admitted {
		g.releaseStream(in)
	}
	return admitted
}

// releaseStream ends the charge of an inbound stream.
func (g *Guard) releaseStream(in *inbound) {
	g.mu.Lock()
	delete(g.open, in)
	g.mu.Unlock()
	in.charge.release()
}

// budgetOf returns the budget of a sender.
func (g *Guard) budgetOf(source netip.Addr) *budget {
	if g.isKnown(source) {
		return &g.known
	}
	return &g.strangers
}

func (g *Guard) isKnown(source netip.Addr) bool {
	return source.IsValid() && g.opts.Known != nil && g.opts.Known(source)
}

// receive reads the whole message, and then passes the stream to memberlist or refuses it.
func (g *Guard) receive(in *inbound) {
	label, err := g.readLabel(in)
	switch {
	case errors.Is(err, io.EOF), err != nil && (g.isClosing() || in.charge.isEvicted()):
		_ = in.Close() // a port scan, a health check, or closed by this member
	case err != nil:
		g.refused.badHead.Add(1)
		g.warnf("stream without a valid beginning: %v from=%v", err, in.RemoteAddr())
		_ = in.Close()
	case label != g.opts.Label:
		g.refused.otherLabel.Add(1)
		g.warnf("refused a stream of another cluster, %q from=%v", label, in.RemoteAddr())
		g.refuse(in)
	default:
		g.receiveMessage(in, label)
	}
}

func (g *Guard) receiveMessage(in *inbound, label string) {
	tether, err := g.isTether(in)
	if tether {
		g.receiveTether(in)
		return
	}
	var whole []byte
	head := in.reader.at
	if err == nil {
		whole, err = g.whole(&in.reader, in.charge, label)
	}
	if err != nil {
		if !g.isClosing() && !in.charge.isEvicted() {
			g.countMessage(err)
			g.warnf("dropped the message of a stream: %v from=%v", err, in.RemoteAddr())
		}
		_ = in.Close()
		return
	}
	in.replay, in.reader.buf = whole, nil
	if g.mismatched(whole[head]) {
		in.charge.pace(paceRefused)
		g.pass(refusedStream{in})
		g.discard(in)
		_ = in.Close()
		return
	}
	// From here on memberlist sets the deadlines. An error says that the sender has closed
	// the stream.
	_ = in.SetReadDeadline(time.Time{})
	in.charge.complete()
	if g.withheld() != nil && g.isExchange(whole[head:], label) && !g.awaitReturn() {
		_ = in.Close()
		return
	}
	g.pass(in)
}

// pass gives a stream to memberlist.
func (g *Guard) pass(stream net.Conn) {
	g.traffic.streamsAccepted.Add(1)
	select {
	case g.streams <- stream:
	case <-g.closing:
		_ = stream.Close()
	}
}

// refusedStream is a stream that memberlist refuses. The guard reads on, and closes it.
type refusedStream struct{ *inbound }

// Close says that nothing follows the answer.
func (s refusedStream) Close() error { return s.closeWrite() }

// countMessage counts a message that was dropped because of err.
func (g *Guard) countMessage(err error) {
	switch {
	case errors.Is(err, errCipherVersion):
		g.refused.badCipher.Add(1)
	case errors.Is(err, errOverBudget):
		g.refused.overTotal.Add(1)
	default:
		g.refused.badHead.Add(1)
	}
}

// readLabel reads the label, and sets the time by which the whole message must have arrived.
func (g *Guard) readLabel(in *inbound) (label string, err error) {
	if err := in.SetReadDeadline(time.Now().Add(g.opts.HeadTimeout)); err != nil {
		return "", err
	}
	for {
		label, missing, err := peekLabel(in.reader.buf)
		if err != nil {
			return "", err
		}
		if missing == 0 {
			if len(label) > 0 {
				in.reader.at = 2 + len(label)
			}
			return string(label), nil
		}
		if err := in.reader.more(missing); err != nil {
			if errors.Is(err, io.EOF) && len(in.reader.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
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
	in.charge.pace(paceRefused)
	written := make(chan struct{})
	g.wg.Go(func() {
		defer close(written)
		_, err := in.Write(refusalFrame())
		if err == nil {
			_ = in.closeWrite()
		}
	})
	g.discard(in)
	<-written
}

// discard reads what follows a message that is refused, until the other side closes the stream.
func (g *Guard) discard(in *inbound) {
	_, _ = io.Copy(io.Discard, io.LimitReader(pacedReader{in.Conn, in.charge, paceDiscarded}, maxDiscarded))
}

func (g *Guard) isClosing() bool {
	select {
	case <-g.closing:
		return true
	default:
		return false
	}
}

// maxDiscarded is the largest number of bytes that are read from a stream after its refusal.
const maxDiscarded = paceDiscarded * paceBurst

func (g *Guard) warnf(format string, args ...any) {
	if g.opts.Logger != nil {
		g.opts.Logger.Printf("[WARN] "+format, args...)
	}
}
