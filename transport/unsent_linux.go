package transport

import (
	"net"
	"syscall"
)

const (
	// tcpNotSentLowat is TCP_NOTSENT_LOWAT, which package syscall does not have.
	tcpNotSentLowat = 25
	// unsentBytes is how many bytes the kernel takes of a connection that it cannot send yet. What is on its way does
	// not count, so that it bounds the speed of no reader.
	unsentBytes = 32 << 10
)

// limitUnsent makes writes wait while the kernel has bytes that the client has no room for. Otherwise it takes them
// until its buffer is full, and the process computes more of an answer that nobody reads.
func limitUnsent(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsentBytes)
	})
}
