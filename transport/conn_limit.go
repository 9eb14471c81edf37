package transport

import (
	"net"
	"net/netip"
	"sync"
)

// limitListener accepts a connection only when fewer than cap(slots) are open.
// At the limit callers wait in the kernel's queue, which costs this process
// nothing. Of one client it keeps no more than a share, so that others find a
// slot: what comes above that is closed at once.
type limitListener struct {
	*net.TCPListener
	slots  chan struct{}
	closed chan struct{}
	close  func() error
	share  int

	mu       sync.Mutex
	byClient map[netip.Prefix]int
}

func newLimitListener(l *net.TCPListener, limit, share int) *limitListener {
	limited := &limitListener{
		TCPListener: l, slots: make(chan struct{}, limit), closed: make(chan struct{}),
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
		conn, err := l.AcceptTCP()
		if err != nil {
			<-l.slots
			return nil, err
		}
		client := prefixOf(conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		if !l.enter(client) {
			_ = conn.Close()
			<-l.slots
			continue
		}
		return &limitConn{TCPConn: conn, release: sync.OnceFunc(func() {
			l.leave(client)
			<-l.slots
		})}, nil
	}
}

// enter counts a client's connection, unless it has its share.
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

// limitConn gives its slot back when it closes. Being a TCPConn otherwise, it
// still has the half-close that keeps an answer from being lost to a reset.
type limitConn struct {
	*net.TCPConn
	release func()
}

func (c *limitConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}
