package direct

import (
	"crypto/tls"
	"net"
	"syscall"
)

// IsClosed reports whether this process has closed a connection of the operating system, or
// one with TLS over it. It returns false for every other connection.
func IsClosed(c net.Conn) bool {
	raw, err := rawOf(c)
	return err != nil || raw != nil && raw.Control(func(uintptr) {}) != nil
}

// HasEnded reports whether the other side of an idle connection of the operating system has closed it. Another
// goroutine may read from the connection. HasEnded does not block. It returns false for every other
// connection, and when more bytes have come.
func HasEnded(c net.Conn) bool {
	raw, err := rawOf(c)
	if raw == nil || err != nil {
		return false
	}
	over := false
	return raw.Control(func(fd uintptr) { over = isOver(fd) }) == nil && over
}

// rawOf returns a connection as the operating system has it, and nil for one that it does not have.
func rawOf(c net.Conn) (syscall.RawConn, error) {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, nil //nolint:nilnil // there is none
	}
	return s.SyscallConn()
}
