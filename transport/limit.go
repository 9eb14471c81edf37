package transport

import (
	"net"
	"sync"
)

// limitListener accepts a connection only when fewer than cap(slots) are open.
// At the limit callers wait in the kernel's queue, which costs this process
// nothing.
type limitListener struct {
	*net.TCPListener
	slots  chan struct{}
	closed chan struct{}
	close  func() error
}

func newLimitListener(l *net.TCPListener, limit int) *limitListener {
	limited := &limitListener{TCPListener: l, slots: make(chan struct{}, limit), closed: make(chan struct{})}
	limited.close = sync.OnceValue(func() error {
		close(limited.closed) // wakes an Accept that waits for a slot
		return l.Close()
	})
	return limited
}

func (l *limitListener) Accept() (net.Conn, error) {
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
	return &limitConn{TCPConn: conn, release: sync.OnceFunc(func() { <-l.slots })}, nil
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
