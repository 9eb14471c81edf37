//go:build unix

package direct

import "syscall"

// usable says whether the state of an idle connection can be seen on this system.
const usable = true

// isQuiet reports whether the other side of an idle connection has sent nothing, and has
// not closed it. It does not block.
func (c *conn) isQuiet() bool {
	c.quiet = false
	if c.look == nil {
		c.look = func(fd uintptr) bool {
			var b [1]byte
			n, err := syscall.Read(int(fd), b[:])
			c.quiet = n < 0 && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK)
			return true
		}
	}
	return c.raw.Read(c.look) == nil && c.quiet
}

// isOver reports whether the other side has closed a connection, and all that it has sent was read.
func isOver(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return n == 0 && err == nil || err == syscall.ECONNRESET || err == syscall.EPIPE
}
