package direct

import (
	"crypto/tls"
	"net"
	"syscall"
)

// IsClosed reports whether this process has closed a connection of the operating system, or
// one with TLS over it. It returns false for every other connection.
func IsClosed(c net.Conn) bool {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}
