//go:build !linux

package transport

import "net"

// limitUnsent does nothing: the buffer of the kernel is the bound.
func limitUnsent(*net.TCPConn) {}
