package packetstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/intake"
)

// Counts are the counts of a [Transport] since it was made.
type Counts struct {
	// Dropped counts the times that packets were dropped instead of sent: a queue was full, or an
	// address did not answer.
	Dropped uint64
	// TooMany and TooManyFromOne count inbound streams beyond the numbers that may be open.
	TooMany, TooManyFromOne uint64
	// OtherLabel counts inbound streams of packets of another cluster.
	OtherLabel uint64
	// Malformed counts inbound streams without a valid beginning in time, and those with an invalid
	// packet.
	Malformed uint64
}

type counts struct{ dropped, tooMany, tooManyFromOne, otherLabel, malformed atomic.Uint64 }

// Counts returns the counts so far.
func (t *Transport) Counts() Counts {
	c := &t.counts
	return Counts{
		Dropped: c.dropped.Load(), TooMany: c.tooMany.Load(), TooManyFromOne: c.tooManyFromOne.Load(),
		OtherLabel: c.otherLabel.Load(), Malformed: c.malformed.Load(),
	}
}

// inbound is an accepted stream.
type inbound struct {
	net.Conn
	source  netip.Addr // not valid when the transport has none
	network netip.Prefix
	door    *door
	// The lock of the transport guards these.
	heard   time.Time // when it last carried something, or was accepted
	evicted bool      // the stream was closed to make room
}

func (t *Transport) acceptOne(conn net.Conn) {
	source := intake.SourceOf(conn.RemoteAddr())
	in := &inbound{Conn: conn, source: source, network: intake.NetworkOf(source), door: &t.strangers, heard: time.Now()}
	if source.IsValid() && t.opts.Known != nil && t.opts.Known(source) {
		in.door = &t.known
	}
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.place(in, &in.door.heads)
	}
	t.mu.Unlock()
	if closed {
		_ = conn.Close()
		return
	}
	t.wg.Go(func() { t.begin(in) })
}

// place adds a stream, in place of another one where there are too many. The caller holds the lock.
func (t *Transport) place(in *inbound, p *population) {
	ofOne, ofAll := p.isFull(in.network)
	switch {
	case ofOne:
		t.counts.tooManyFromOne.Add(1)
	case ofAll:
		t.counts.tooMany.Add(1)
	}
	if ofOne || ofAll {
		victim := p.quietest(in.network)
		p.remove(victim)
		victim.evicted = true
		_ = victim.Close() // never waits
	}
	p.add(in)
}

// begin reads the first byte of a stream, and then passes the stream on or receives its packets.
func (t *Transport) begin(in *inbound) {
	_ = in.SetReadDeadline(time.Now().Add(t.opts.HeadTimeout)) // a closed stream fails in Read too
	var first [1]byte
	_, err := io.ReadFull(in.Conn, first[:])
	if err == nil && first[0] != helloMark[0] {
		t.pass(in, first[0])
		return
	}
	r := bufio.NewReaderSize(in.Conn, 4<<10)
	var port uint16
	if err == nil {
		port, err = readHello(r, t.opts.Label)
	}
	entered := err == nil && t.enter(in)
	if entered {
		err = t.receive(in, r, netip.AddrPortFrom(in.source, port))
	}
	_ = in.Close()
	t.mu.Lock()
	in.door.heads.remove(in)
	in.door.within.remove(in)
	ended := t.closed || in.evicted
	t.mu.Unlock()
	switch {
	case ended:
	case errors.Is(err, errOtherLabel):
		t.counts.otherLabel.Add(1)
		t.warnf("refused %v from=%v", err, in.RemoteAddr())
	case errors.Is(err, errHello), errors.Is(err, errFrame), !entered && err != nil && !errors.Is(err, io.EOF):
		t.counts.malformed.Add(1)
		t.warnf("closed a stream without valid packets: %v from=%v", err, in.RemoteAddr())
	}
}

// replayed is a stream whose first byte was read to tell what it carries.
type replayed struct {
	net.Conn
	first  byte
	passed atomic.Bool // the first byte was returned
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(b) > 0 && !r.passed.Swap(true) {
		b[0] = r.first
		return 1, nil
	}
	return r.Conn.Read(b)
}

// CloseWrite ends the stream for this side, where the stream can do that.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// pass gives a stream that carries no packets to memberlist. It counts as a head until it is taken.
func (t *Transport) pass(in *inbound, first byte) {
	_ = in.SetReadDeadline(time.Time{})
	select {
	case t.streams <- &replayed{Conn: in.Conn, first: first}:
	case <-t.closing:
		_ = in.Close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	in.door.heads.remove(in)
}

// enter counts a stream as one of packets. It reports whether the stream is still open.
func (t *Transport) enter(in *inbound) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || in.evicted {
		return false
	}
	in.door.heads.remove(in)
	in.heard = time.Now()
	t.place(in, &in.door.within)
	return true
}

// receive passes the packets of a stream to memberlist, and confirms them, until the stream ends.
// While memberlist is busy it reads nothing, so that the sender drops packets.
func (t *Transport) receive(in *inbound, r *bufio.Reader, from netip.AddrPort) error {
	source := net.UDPAddrFromAddrPort(from)
	for {
		// An error says that the sender has closed the stream. What was read may have whole packets.
		_ = in.SetReadDeadline(time.Now().Add(3 * t.opts.Idle))
		size, err := readSize(r)
		if err != nil {
			return err
		}
		if size > r.Buffered() {
			_ = in.SetReadDeadline(time.Now().Add(t.opts.HeadTimeout))
		}
		packet := make([]byte, size)
		if _, err := io.ReadFull(r, packet); err != nil {
			return err
		}
		now := time.Now()
		t.mu.Lock()
		in.heard = now
		t.mu.Unlock()
		select {
		case t.packets <- &memberlist.Packet{Buf: packet, From: source, Timestamp: now}:
		case <-t.closing:
			return nil
		}
		if r.Buffered() > 0 {
			continue
		}
		_ = in.SetWriteDeadline(now.Add(t.opts.HeadTimeout))
		if _, err := in.Write([]byte{confirmation}); err != nil {
			return err
		}
	}
}
