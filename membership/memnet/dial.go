package memnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// patience is how long a dial without a timeout waits for an answer, about as long as
// on Linux.
const patience = 2 * time.Minute

// dialResult is the result of a dial.
type dialResult int

const (
	dialConnected dialResult = iota
	dialRefused
	dialLost
	dialCut
	dialCrashed
	dialBacklogFull
	dialTooSlow
	dialAborted
	dialResults // the number of results
)

// dial opens a stream. An answer, also a refusal, takes one round trip. Without an
// answer, the caller waits until the timeout.
func (n *Network) dial(from *transport, to netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	if timeout == 0 {
		timeout = patience
	}
	n.mu.Lock()
	n.awaitRunning(from)
	n.mu.Unlock()
	start := time.Now()
	conn, result := n.tryDial(from, to, timeout)
	switch result {
	case dialConnected, dialRefused, dialAborted:
	default:
		if !from.pause(timeout - time.Since(start)) {
			result = dialAborted
		}
	}
	n.mu.Lock()
	n.awaitRunning(from)         // a dial ends in the kernel, and a stalled process does not see that
	if result != dialConnected { // counted before the listener can see the stream
		n.counters.dialled[result]++
	}
	n.mu.Unlock()
	if result == dialConnected {
		return conn, nil
	}

	cause := os.ErrDeadlineExceeded
	switch result {
	case dialRefused:
		cause = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	case dialAborted:
		cause = net.ErrClosed
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: cause}
}

func (n *Network) tryDial(from *transport, to netip.AddrPort, timeout time.Duration) (net.Conn, dialResult) {
	n.mu.Lock()
	n.counters.dials++
	closed, lost := from.closed, n.chance(n.options.StreamLoss)
	roundTrip := n.dialDelay(from.addr, to)
	n.mu.Unlock()
	switch {
	case closed:
		return nil, dialAborted
	case lost:
		return nil, dialLost
	case timeout < 0 || roundTrip > 0 && roundTrip >= timeout:
		return nil, dialTooSlow
	case !from.pause(roundTrip):
		return nil, dialAborted
	}
	return n.connect(from, to)
}

// connect passes the far end of a new stream to the transport that listens.
func (n *Network) connect(from *transport, to netip.AddrPort) (net.Conn, dialResult) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case from.closed:
		return nil, dialAborted
	case from.fate != alive:
		return nil, dialCrashed
	case n.faults.cut(from.addr, to), n.faults.cut(to, from.addr):
		return nil, dialCut
	case n.faults.refuses(from.addr, to):
		return nil, dialRefused
	}
	listener := n.listeners[to]
	if listener == nil {
		if _, crashed := n.faults.silent[to]; crashed {
			return nil, dialCrashed
		}
		return nil, dialRefused
	}
	local := netip.AddrPortFrom(from.addr.Addr(), n.nextPort())
	l := newLink(n, from, listener, local)
	l.stalled = [2]bool{from.stalled != nil, listener.stalled != nil}
	if !listener.offer(l.streams[1]) {
		listener.lostStreams++
		return nil, dialBacklogFull
	}
	l.place = n.links.PushBack(l)
	n.counters.dialled[dialConnected]++
	return l.streams[0], dialConnected
}
