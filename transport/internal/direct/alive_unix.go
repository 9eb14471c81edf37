//go:build unix

package direct

import "syscall"

// usable says whether the state of an idle connection can be seen on this system.
const usable = true

// isQuiet reports whether the other side of an idle connection has sent nothing, and has
// not closed it. It does not block.
func isQuiet(raw syscall.RawConn) bool {
	quiet := false
	err := raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, err := syscall.Read(int(fd), b[:])
		quiet = n < 0 && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR)
		return true
	})
	return quiet && err == nil
}
