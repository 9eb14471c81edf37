package membership

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/memberlist"
)

const (
	// bindAttempts is the number of attempts to find a free port: the kernel picks a port
	// that is free for TCP, and it may be taken for UDP.
	bindAttempts = 10
	// packetQueue is how many bytes of packets the kernel is asked to keep while this process does not run. It
	// may keep fewer.
	packetQueue = 2 << 20
	// longestPacket is the largest number of bytes of a UDP packet. The guard drops packets that are longer than
	// those of members.
	longestPacket = 1 << 16
	// firstPause and lastPause are the pauses after errors of a socket.
	firstPause, lastPause = 5 * time.Millisecond, time.Second
)

// listenNet binds UDP and TCP at one address and port, or at a free port for 0. It
// returns a transport that already receives. Shutdown closes both.
func listenNet(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	ip := addr.Addr().Unmap()
	if !ip.IsValid() {
		return nil, errors.New("membership: binding gossip: no IP address given")
	}
	if ip.Zone() != "" {
		return nil, fmt.Errorf("membership: binding gossip to %s: an IPv6 zone is not supported", addr)
	}
	if logger == nil {
		logger = log.New(io.Discard, "", 0)
	}
	attempts := 1
	if addr.Port() == 0 {
		attempts = bindAttempts
	}
	var err error
	for range attempts {
		var t *netTransport
		if t, err = bindNet(netip.AddrPortFrom(ip, addr.Port())); err == nil {
			t.logger = logger
			t.workers.Go(t.acceptStreams)
			t.workers.Go(t.readPackets)
			return t, nil
		}
	}
	return nil, fmt.Errorf("membership: binding gossip to %s: %w", addr, err)
}

// bindNet binds TCP, and UDP at the same port.
func bindNet(addr netip.AddrPort) (*netTransport, error) {
	streams, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	bound := streams.Addr().(*net.TCPAddr)
	packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: addr.Addr().AsSlice(), Port: bound.Port})
	if err != nil {
		_ = streams.Close()
		return nil, err
	}
	for size := packetQueue; size > 0 && packets.SetReadBuffer(size) != nil; {
		size /= 2
	}
	t := &netTransport{ip: addr.Addr(), bound: bound, streams: streams, packets: packets, streamCh: make(chan net.Conn), packetCh: make(chan *memberlist.Packet)}
	t.closing, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// netTransport is a transport of sockets. memberlist's own transport allocates 64 KiB for each packet, so that a
// stranger who sends some thousand packets a second keeps the garbage collector at work. Its dials do not end at
// Shutdown.
type netTransport struct {
	ip       netip.Addr // the bind address as given; may be unspecified
	bound    *net.TCPAddr
	streams  *net.TCPListener
	packets  *net.UDPConn
	streamCh chan net.Conn
	packetCh chan *memberlist.Packet
	logger   *log.Logger
	workers  sync.WaitGroup
	closing  context.Context // ends with the transport
	cancel   context.CancelFunc
}

// FinalAdvertiseAddr returns the given address or, for an empty one, the bound one. In place of 0.0.0.0 it
// returns a private address of this host, as memberlist does.
func (t *netTransport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip != "" {
		given, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, 0, fmt.Errorf("membership: address to announce: %w", err)
		}
		return given.Unmap().AsSlice(), port, nil
	}
	if t.ip != netip.IPv4Unspecified() {
		return t.bound.IP, t.bound.Port, nil
	}
	private, err := sockaddr.GetPrivateIP()
	if err != nil {
		return nil, 0, fmt.Errorf("membership: listing the addresses of this host: %w", err)
	}
	if private == "" {
		return nil, 0, errors.New("membership: this host has no private IP address")
	}
	return net.ParseIP(private), t.bound.Port, nil
}

// PacketCh returns the packets that arrive.
func (t *netTransport) PacketCh() <-chan *memberlist.Packet { return t.packetCh }

// StreamCh returns the streams that others open.
func (t *netTransport) StreamCh() <-chan net.Conn { return t.streamCh }

// readPackets reads into one buffer, and copies what has arrived.
func (t *netTransport) readPackets() {
	buf := make([]byte, longestPacket)
	receive(t, "reading a packet", t.packetCh, func() (*memberlist.Packet, error) {
		n, from, err := t.packets.ReadFrom(buf)
		if err != nil {
			return nil, err
		}
		return &memberlist.Packet{Buf: bytes.Clone(buf[:n]), From: from, Timestamp: time.Now()}, nil
	}, func(*memberlist.Packet) {})
}

func (t *netTransport) acceptStreams() {
	receive(t, "accepting a stream", t.streamCh, t.streams.Accept, func(conn net.Conn) { _ = conn.Close() })
}

// receive passes on what a socket receives until the transport is closed, and drops what nobody takes any more. It
// logs an error, and pauses. The pause doubles until there is no error.
func receive[T any](t *netTransport, what string, to chan<- T, next func() (T, error), drop func(T)) {
	for pause := firstPause; ; {
		received, err := next()
		if err == nil {
			pause = firstPause
			select {
			case to <- received:
			case <-t.closing.Done():
				drop(received)
				return
			}
			continue
		}
		if t.closing.Err() != nil {
			return
		}
		t.logger.Printf("[ERR] membership: %s: %v", what, err)
		timer := time.NewTimer(pause)
		pause = min(2*pause, lastPause)
		select {
		case <-timer.C:
		case <-t.closing.Done():
			timer.Stop()
			return
		}
	}
}

// WriteTo is WriteToAddress for an address without a name.
func (t *netTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a packet.
func (t *netTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := net.ResolveUDPAddr("udp", a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.packets.WriteTo(b, to)
	return time.Now(), err
}

// DialTimeout is DialAddressTimeout for an address without a name.
func (t *netTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout connects by TCP. It returns at the latest when the timeout
// has passed or the transport is shut down. The stream comes from the bound address, as packets do:
// other members accept tethers only from the address of a member.
func (t *netTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout}
	if to, err := netip.ParseAddrPort(a.Addr); err == nil && !t.ip.IsUnspecified() && to.Addr().Unmap().Is4() == t.ip.Is4() {
		dialer.LocalAddr = &net.TCPAddr{IP: t.ip.AsSlice()}
	}
	return dialer.DialContext(t.closing, "tcp", a.Addr)
}

// Shutdown closes the sockets and ends dials. It waits until nothing is received any more.
func (t *netTransport) Shutdown() error {
	t.cancel()
	err := errors.Join(t.streams.Close(), t.packets.Close())
	t.workers.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // Shutdown was called before
	}
	return err
}
