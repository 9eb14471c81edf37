package transport

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// limitListener accepts a connection only when fewer than cap(slots) are open. At the
// limit callers wait in the queue of the kernel, which needs no memory of this process.
// One client may have only a part of the slots, so that others find a slot: further
// connections of that client are closed at once. A connection without an IP address
// belongs to no client.
type limitListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	close  func() error
	share  int
	open   atomic.Int64 // accepted connections

	mu       sync.Mutex
	byClient map[netip.Prefix]int
}

// unreadBytes is about how many bytes of answers the kernel keeps for one connection until the client has read them.
// Otherwise it keeps some MiB, which the process has to compute although nobody may read them. At a round-trip time of
// 100 ms a connection still carries 2 MiB a second.
const unreadBytes = 256 << 10

func newLimitListener(l net.Listener, limit, share int) *limitListener {
	limited := &limitListener{
		Listener: l, slots: make(chan struct{}, limit), closed: make(chan struct{}),
		share: share, byClient: make(map[netip.Prefix]int),
	}
	limited.close = sync.OnceValue(func() error {
		close(limited.closed) // wakes an Accept that waits for a slot
		return l.Close()
	})
	return limited
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		var from netip.Prefix
		if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			from = prefixOf(addr.AddrPort().Addr())
		}
		if from.IsValid() && !l.enter(from) {
			_ = conn.Close()
			<-l.slots
			continue
		}
		l.open.Add(1)
		release := sync.OnceFunc(func() {
			l.open.Add(-1)
			if from.IsValid() {
				l.leave(from)
			}
			<-l.slots
		})
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(unreadBytes) // a system without it has a bound of its own
			limitUnsent(tcp)
			return &limitTCPConn{tcp, release}, nil
		}
		return &limitConn{conn, release}, nil
	}
}

// enter counts a connection of a client. It returns false when the client has as many
// as it may have.
func (l *limitListener) enter(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byClient[client] >= l.share {
		return false
	}
	l.byClient[client]++
	return true
}

func (l *limitListener) leave(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byClient[client]--; l.byClient[client] == 0 {
		delete(l.byClient, client)
	}
}

// Close stops accepting. It is idempotent and leaves open connections alone.
func (l *limitListener) Close() error { return l.close() }

// limitTCPConn frees its slot when it closes. It embeds a TCPConn, so that it has
// CloseWrite, without which a reset could lose an answer.
type limitTCPConn struct {
	*net.TCPConn
	release func()
}

func (c *limitTCPConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

// limitConn does the same for connections of other kinds.
type limitConn struct {
	net.Conn
	release func()
}

func (c *limitConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite closes the half that this process writes, where the connection can.
func (c *limitConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
