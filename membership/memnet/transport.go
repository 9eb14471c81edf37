package memnet

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	inboxSize   = 4096 // packets, about what a receive buffer of some MiB holds
	backlogSize = 1024 // streams dialled and not yet accepted
)

// transport is the access of one process to the network: it listens at an address, from
// Listen until Shutdown or a crash.
type transport struct {
	net     *Network
	addr    netip.AddrPort
	udpAddr *net.UDPAddr // used by all its packets, so it must not be modified
	log     *log.Logger

	inbox   chan *memberlist.Packet
	backlog chan net.Conn
	done    chan struct{} // closed by Shutdown
	once    sync.Once

	// Guarded by net.mu.
	closed         bool
	fate           fate
	lostPackets    uint64               // packets lost to a full inbox
	lostStreams    uint64               // streams lost to a full backlog
	stalled        chan struct{}        // closed when the stall ends; nil without one
	waitingPackets []*memberlist.Packet // packets that arrived during the stall
	waitingStreams []net.Conn           // dialled in the stall
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func newTransport(n *Network, addr netip.AddrPort, logger *log.Logger) *transport {
	return &transport{
		net:     n,
		addr:    addr,
		udpAddr: net.UDPAddrFromAddrPort(addr),
		log:     logger,
		inbox:   make(chan *memberlist.Packet, inboxSize),
		backlog: make(chan net.Conn, backlogSize),
		done:    make(chan struct{}),
	}
}

// FinalAdvertiseAddr returns the given address or, when it is empty, the bound one.
// There is no address translation here, so another address is useful only to test a
// wrong configuration.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return t.addr.Addr().AsSlice(), int(t.addr.Port()), nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("memnet: advertise address %q is not an IP address", ip)
	}
	return addr.Unmap().AsSlice(), port, nil
}

// WriteTo sends a packet and returns the time of sending. It copies the bytes, and blocks
// only while [Network.Stall] stops the process. Like UDP it returns no error for a packet that gets lost, only for one that
// cannot be sent: more than 65507 bytes, no IP address, or after Shutdown.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := parseAddr(addr)
	if err != nil {
		return time.Time{}, err
	}
	return t.net.send(t, b, to)
}

// WriteToAddress is WriteTo; the node's name has no meaning here.
func (t *transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, addr.Addr)
}

// PacketCh returns the channel of the packets received. It is never closed.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.inbox }

// DialTimeout opens a stream.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := parseAddr(addr)
	if err != nil {
		return nil, err
	}
	return t.net.dial(t, to, timeout)
}

// DialAddressTimeout is DialTimeout; the node's name has no meaning here.
func (t *transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(addr.Addr, timeout)
}

// StreamCh returns the channel of the streams that others dialled. It is never closed.
func (t *transport) StreamCh() <-chan net.Conn { return t.backlog }

// Shutdown frees the address, closes all streams and releases all blocked calls.
// Further calls have no effect. It always returns nil.
func (t *transport) Shutdown() error {
	t.once.Do(func() {
		own := t.detach()
		close(t.done)
		for _, s := range own {
			_ = s.Close() // never fails
		}
		t.report()
	})
	return nil
}

// detach removes the transport from the network and returns its streams.
func (t *transport) detach() []*stream {
	n := t.net
	n.mu.Lock()
	defer n.mu.Unlock()
	t.closed = true
	n.endStall(t)
	if n.listeners[t.addr] == t { // not after a crash: then another transport may be there
		delete(n.listeners, t.addr)
	}
	return n.streamsOf(t)
}

// streamsOf returns the ends of open streams that a transport has. The caller holds n.mu.
func (n *Network) streamsOf(t *transport) []*stream {
	var own []*stream
	for e := n.links.Front(); e != nil; e = e.Next() {
		l := e.Value.(*link)
		for side, end := range l.ends {
			if end == t {
				own = append(own, l.streams[side])
			}
		}
	}
	return own
}

// report logs the packets and streams that were lost because the transport's owner was
// slow. It runs at Shutdown and not earlier, because a log may block, and senders must
// not block.
func (t *transport) report() {
	t.net.mu.Lock()
	packets, streams := t.lostPackets, t.lostStreams
	t.net.mu.Unlock()
	if packets > 0 {
		t.log.Printf("[WARN] memnet: %v: dropped %d packets because its inbox of %d was full", t.addr, packets, inboxSize)
	}
	if streams > 0 {
		t.log.Printf("[WARN] memnet: %v: ignored %d dials because its backlog of %d was full", t.addr, streams, backlogSize)
	}
}

// pause waits, and reports whether the transport is still open afterwards.
func (t *transport) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.done:
		return false
	}
}

// discardPackets empties the inbox. The caller holds net.mu, so that nothing
// arrives meanwhile.
func (t *transport) discardPackets() {
	_ = drain(t.inbox)
}

// packetError wraps an error as the net package does for a UDP socket.
func (t *transport) packetError(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "write", Net: "udp", Source: t.udpAddr, Addr: net.UDPAddrFromAddrPort(to), Err: err}
}
