package direct

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
)

// noticed is a connection whose end other goroutines can wait for.
type noticed struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

// Noticed returns a connection of which [Ended] tells that it was closed.
func Noticed(c net.Conn) net.Conn { return &noticed{Conn: c, ended: make(chan struct{})} }

// Ended returns a channel that is closed when this process closes a connection that [Noticed] has
// returned, or one with TLS over it. It is nil for any other connection.
func Ended(c net.Conn) <-chan struct{} {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	if n, ok := c.(*noticed); ok {
		return n.ended
	}
	return nil
}

// Close is a method of net.Conn.
func (n *noticed) Close() error {
	n.once.Do(func() { close(n.ended) })
	return n.Conn.Close()
}

// ReadFrom lets the system copy files to the connection.
func (n *noticed) ReadFrom(r io.Reader) (int64, error) { return io.Copy(n.Conn, r) }
