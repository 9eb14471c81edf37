package memnet

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// streamBuffer is how many unread bytes one direction of a stream holds; when it is
// full, a writer blocks. It is far larger than the buffer of a kernel, and than the 20
// MiB that memberlist accepts in a push/pull. So members that write to each other at
// the same instant do not wait for each other.
const streamBuffer = 32 << 20

// link is an established stream: two ends and a queue for each direction.
type link struct {
	net     *Network
	ends    [2]*transport // the end that dialled, and the end that listened
	streams [2]*stream
	place   *list.Element // in net.links; guarded by net.mu

	// mu guards the rest. It may be taken while net.mu is held, never the
	// other way round.
	mu     sync.Mutex
	change sync.Cond // signals a change of any field below
	halves [2]half   // halves[i] carries what end i writes
	closed [2]bool   // by end i
	// stalled is whether the process of end i is stopped: it does not read or write.
	stalled  [2]bool
	wasReset bool // by CloseStreams
}

func newLink(n *Network, dialler, listener *transport, local netip.AddrPort) *link {
	l := &link{net: n, ends: [2]*transport{dialler, listener}}
	l.change.L = &l.mu
	near, far := net.TCPAddrFromAddrPort(local), net.TCPAddrFromAddrPort(listener.addr)
	l.streams[0] = &stream{link: l, side: 0, local: near, remote: far}
	l.streams[1] = &stream{link: l, side: 1, local: far, remote: near}
	return l
}

// wait blocks until a field has changed, or until the given instant unless it is zero.
// The caller holds l.mu, and must check its condition again.
func (l *link) wait(until time.Time) {
	if !until.IsZero() {
		timer := time.AfterFunc(time.Until(until), l.wake)
		defer timer.Stop()
	}
	l.change.Wait()
}

func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change.Broadcast()
}

// setFaults sets which directions are cut, each under the index of the end that writes,
// and which ends are stalled. Bytes that were held back arrive after the delay.
func (l *link) setFaults(cuts, stalled [2]bool, now time.Time, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cuts == [2]bool{l.halves[0].cut, l.halves[1].cut} && stalled == l.stalled {
		return
	}
	for i, cut := range cuts {
		h := &l.halves[i]
		held := h.cut || l.stalled[i]
		switch {
		case cut && !h.cut:
			h.hold(now)
		case held && !cut && !stalled[i]:
			h.release(now.Add(delay))
		}
		h.cut = cut
	}
	l.stalled = stalled
	l.change.Broadcast()
}

// reset ends the stream for both ends.
func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wasReset = true
	l.halves[0].discard()
	l.halves[1].discard()
	l.change.Broadcast()
}

// half is one direction of a link: the bytes that were written and are not read yet,
// with the oldest first.
type half struct {
	queue []segment
	size  int  // bytes in the queue
	cut   bool // no more bytes arrive
	busy  bool // a call of Write has its turn
}

// segment is a run of bytes that arrive together, or the end of the stream.
type segment struct {
	data []byte
	end  bool
	at   time.Time // when it arrives
	held bool      // held by a cut; then at has no meaning
}

func (s *segment) arrived(now time.Time) bool { return !s.held && !s.at.After(now) }

// maxSegment is the largest segment to which small writes are combined.
const maxSegment = 64 << 10

// push appends written bytes, which arrive after the delay, but not before earlier
// bytes. The bytes are held back when the direction is cut, and also when the caller asks
// for that.
func (h *half) push(data []byte, end bool, now time.Time, delay time.Duration, hold bool) {
	s := segment{end: end, at: now.Add(delay), held: h.cut || hold}
	h.size += len(data)
	if len(h.queue) > 0 {
		last := &h.queue[len(h.queue)-1]
		if !last.held && last.at.After(s.at) {
			s.at = last.at
		}
		together := last.held && s.held || last.at.Equal(s.at) || last.arrived(now) && s.arrived(now)
		if together && last.held == s.held && !end && len(last.data)+len(data) <= maxSegment {
			last.data = append(last.data, data...)
			return
		}
	}
	s.data = append(s.data, data...)
	h.queue = append(h.queue, s)
}

// take moves bytes that have arrived into b and returns their number.
func (h *half) take(b []byte, now time.Time) int {
	n := 0
	for len(h.queue) > 0 && n < len(b) {
		first := &h.queue[0]
		if first.end || !first.arrived(now) {
			break
		}
		m := copy(b[n:], first.data)
		n += m
		if first.data = first.data[m:]; len(first.data) == 0 {
			*first = segment{} // so that the bytes can be freed
			h.queue = h.queue[1:]
		}
	}
	h.size -= n
	return n
}

// ended reports whether the end of the stream is all that is left to read.
func (h *half) ended(now time.Time) bool {
	return len(h.queue) > 0 && h.queue[0].end && h.queue[0].arrived(now)
}

// endArrived reports whether the reader's host knows that the writer closed.
func (h *half) endArrived(now time.Time) bool {
	if len(h.queue) == 0 {
		return false
	}
	last := &h.queue[len(h.queue)-1]
	return last.end && last.arrived(now)
}

// nextArrival returns when more bytes arrive, and zero when no arrival is known.
func (h *half) nextArrival() time.Time {
	if len(h.queue) == 0 || h.queue[0].held {
		return time.Time{}
	}
	return h.queue[0].at
}

// discard drops unread bytes.
func (h *half) discard() { h.queue, h.size = nil, 0 }

// hold holds bytes back that are still under way. Bytes that have arrived stay
// readable, because they are on the reader's host already.
func (h *half) hold(now time.Time) {
	for i := range h.queue {
		h.queue[i].held = !h.queue[i].arrived(now)
	}
}

// release makes held bytes arrive at the given instant.
func (h *half) release(at time.Time) {
	for i := range h.queue {
		if s := &h.queue[i]; s.held {
			s.held, s.at = false, at
		}
	}
}
