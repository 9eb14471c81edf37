package memnet

import (
	"bytes"
	"container/heap"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// maxPacket is the largest payload of a UDP datagram over IPv4, in bytes.
const maxPacket = 65507

// datagram is a packet under way.
type datagram struct {
	from    *transport
	to      netip.AddrPort
	payload []byte
	due     time.Time
	number  uint64 // orders packets that are due at the same instant
}

// send takes a packet from a transport, and returns the time at which it did so. It
// blocks only while the sender is stalled: a packet that cannot be delivered is dropped
// and counted.
func (n *Network) send(from *transport, payload []byte, to netip.AddrPort) (time.Time, error) {
	if len(payload) > maxPacket {
		return time.Time{}, from.packetError(to, syscall.EMSGSIZE)
	}
	payload = bytes.Clone(payload)

	n.mu.Lock()
	defer n.mu.Unlock()
	n.awaitRunning(from)
	now := time.Now()
	if from.closed {
		return time.Time{}, from.packetError(to, net.ErrClosed)
	}
	n.counters.sent(len(payload))
	d := datagram{from: from, to: to, payload: payload}
	if from.fate == killed { // after the kill: what it sent before arrives
		n.counters.drops[dropCrashed]++
		return now, nil
	}
	if n.stopped(&d) {
		return now, nil
	}
	if n.chance(n.options.PacketLoss) || n.chance(n.hostLossOf(from.addr, to)) {
		n.counters.drops[dropLost]++
		return now, nil
	}
	delay := n.delay()
	if delay == 0 {
		n.deliver(&d, now)
		return now, nil
	}
	n.takeOff(&datagram{
		from: from, to: to, payload: payload,
		due: now.Add(delay), number: n.counters.packetsSent,
	})
	return now, nil
}

// stopped reports whether a fault stops a packet from the sender to an address, and
// then counts the packet as dropped. It is called when a packet is sent, and again when
// a delayed one arrives. So a cut stops packets that are sent during the cut, and
// packets that were under way when it began. The caller holds n.mu.
func (n *Network) stopped(d *datagram) bool {
	switch {
	case d.from.fate == crashed:
		n.counters.drops[dropCrashed]++
	case n.faults.cut(d.from.addr, d.to):
		n.counters.drops[dropCut]++
	default:
		return false
	}
	return true
}

// takeOff keeps a packet until it is due. One timer serves all packets: so no packet
// needs a goroutine, and packets that are due at the same instant are delivered in the
// order in which they were sent. The caller holds n.mu.
func (n *Network) takeOff(d *datagram) {
	heap.Push(&n.flight, d)
	if n.flight[0].number != d.number {
		return
	}
	delay := time.Until(d.due)
	if n.landing == nil {
		n.landing = time.AfterFunc(delay, n.land)
	} else {
		n.landing.Reset(delay)
	}
}

// land delivers every packet that is due. It may run when no packet is due, if the
// timer was changed while it fired.
func (n *Network) land() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for len(n.flight) > 0 {
		if wait := n.flight[0].due.Sub(now); wait > 0 {
			n.landing.Reset(wait)
			return
		}
		if d := heap.Pop(&n.flight).(*datagram); !n.stopped(d) {
			n.deliver(d, now)
		}
	}
}

// deliver puts a packet into the inbox of the transport that listens at its address now.
// The caller holds n.mu.
func (n *Network) deliver(d *datagram, now time.Time) {
	to := n.listeners[d.to]
	if to == nil {
		if _, crashed := n.faults.silent[d.to]; crashed {
			n.counters.drops[dropCrashed]++
		} else {
			n.counters.drops[dropNoListener]++
		}
		return
	}
	if to.receive(&memberlist.Packet{Buf: d.payload, From: d.from.udpAddr, Timestamp: now}) {
		n.counters.delivered(len(d.payload))
	} else {
		n.counters.drops[dropInboxFull]++
		to.lostPackets++
	}
}

// flightQueue is a heap of packets, the one due first on top.
type flightQueue []*datagram

func (q flightQueue) Len() int      { return len(q) }
func (q flightQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q flightQueue) Less(i, j int) bool {
	if order := q[i].due.Compare(q[j].due); order != 0 {
		return order < 0
	}
	return q[i].number < q[j].number
}

// Push implements heap.Interface.
func (q *flightQueue) Push(x any) { *q = append(*q, x.(*datagram)) }

// Pop implements heap.Interface.
func (q *flightQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = nil // so that the packet can be freed
	*q = (*q)[:last]
	return d
}
