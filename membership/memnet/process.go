package memnet

import (
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// fate is how a fault ended the process of a transport.
type fate int

const (
	alive   fate = iota
	crashed      // with its host: no other process is told
	killed       // on a host that goes on
)

// Crash makes the process at an address vanish as if its host had lost power.
// No other process is told: its packets in and out are dropped, its streams stall on both
// sides and never resume, dials to it wait out their timeout.
//
// The crash belongs to the transport at the address, and is permanent. Its goroutines may
// still write: they get no error, and no process receives their bytes. The transport must
// still be shut down to release them. The address is free: a new transport at it is a restart,
// and works. If there is no transport at the address, only the address becomes silent, until a
// transport listens there.
//
// For a process that ends while its host goes on, use [Network.Kill].
func (n *Network) Crash(addr netip.AddrPort) {
	addr = canonical(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults.silent[addr] = struct{}{}
	t := n.listeners[addr]
	if t == nil {
		return
	}
	delete(n.listeners, addr)
	t.fate = crashed
	n.endStall(t)
	t.discardPackets()
	n.applyFaults()
}

// Kill ends the process at an address as SIGKILL does, on a host that goes on. The other
// ends of its streams read what it wrote and then the end of the stream, dials to the
// address are refused, packets to it vanish, and packets that it sent before arrive.
//
// As after [Network.Crash], its goroutines may go on: their packets are dropped without an
// error, their streams return [net.ErrClosed], their dials wait out the timeout. The
// transport must still be shut down to release them. The address is free for a new
// transport. Without a transport at the address, Kill has no effect.
func (n *Network) Kill(addr netip.AddrPort) {
	for _, s := range n.kill(canonical(addr)) {
		_ = s.Close() // never fails
	}
}

// kill takes the transport at an address off the network, and returns its streams.
func (n *Network) kill(addr netip.AddrPort) []*stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.listeners[addr]
	if t == nil {
		return nil
	}
	delete(n.listeners, addr)
	t.fate = killed
	n.endStall(t)
	t.discardPackets()
	return n.streamsOf(t)
}

// Stall stops the process at an address, as SIGSTOP or a long pause does, until
// [Network.Resume]. Its sockets stay open:
//
//   - Packets to it wait, up to 4096; further ones are dropped.
//   - Dials to it connect, up to 1024, and no call of it accepts them. Dials beyond that
//     wait out their timeout.
//   - Bytes to its streams wait. Its own reads, writes, packets and dials block, also
//     those with a deadline, until Resume; then a deadline that has passed counts.
//
// Only what the process sends and receives stops. Its timers go on, because they are
// the program's: this is the anomaly of the Lifeguard paper (Dadgar, Phillips and
// Currey, 2018). A program that sends while it holds a mutex keeps the mutex, and in a
// bubble of testing/synctest virtual time then cannot advance.
//
// The stall belongs to the transport. Shutdown, [Network.Kill] and [Network.Crash] end it.
// Without a transport at the address, or when it is stalled already, Stall has no effect.
func (n *Network) Stall(addr netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.listeners[canonical(addr)]
	if t == nil || t.stalled != nil {
		return
	}
	t.stalled = make(chan struct{})
	t.waitingPackets = drain(t.inbox)
	t.waitingStreams = drain(t.backlog)
	n.applyFaults()
}

// Resume lets a stalled process go on. It reads what arrived during the stall: packets
// with the present time, and streams in the order in which they were dialled. Without
// a stall it has no effect.
func (n *Network) Resume(addr netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.listeners[canonical(addr)]
	if t == nil || t.stalled == nil {
		return
	}
	now := time.Now()
	for _, p := range t.waitingPackets {
		p.Timestamp = now
		t.inbox <- p // does not block: the inbox was empty, and no more packets wait than it holds
	}
	for _, s := range t.waitingStreams {
		t.backlog <- s
	}
	n.endStall(t)
}

// endStall ends a stall, if there is one, and drops what waits. The caller holds n.mu.
func (n *Network) endStall(t *transport) {
	if t.stalled == nil {
		return
	}
	close(t.stalled)
	t.stalled, t.waitingPackets, t.waitingStreams = nil, nil, nil
	n.applyFaults()
}

// awaitRunning waits while the process of a transport is stalled. The caller holds n.mu,
// and does not hold it while it waits.
func (n *Network) awaitRunning(t *transport) {
	for t.stalled != nil {
		resumed := t.stalled
		n.mu.Unlock()
		<-resumed
		n.mu.Lock()
	}
}

// receive puts a packet into the inbox of a transport, and reports whether it had room.
// The caller holds n.mu.
func (t *transport) receive(p *memberlist.Packet) bool {
	if t.stalled != nil {
		return queue(&t.waitingPackets, p, inboxSize)
	}
	select {
	case t.inbox <- p:
		return true
	default:
		return false
	}
}

// offer puts a new stream into the backlog of a transport, and reports whether it had
// room. The caller holds n.mu.
func (t *transport) offer(s *stream) bool {
	if t.stalled != nil {
		return queue(&t.waitingStreams, net.Conn(s), backlogSize)
	}
	select {
	case t.backlog <- s:
		return true
	default:
		return false
	}
}

// queue appends up to a bound, and reports whether it did.
func queue[T any](to *[]T, one T, bound int) bool {
	if len(*to) >= bound {
		return false
	}
	*to = append(*to, one)
	return true
}

// drain empties a channel without waiting, and returns what was in it.
func drain[T any](from chan T) []T {
	var all []T
	for {
		select {
		case one := <-from:
			all = append(all, one)
		default:
			return all
		}
	}
}
