// Package intake takes what arrives at a transport of gossip. A transport cannot shut down while a
// packet or a stream waits to be taken.
package intake

import (
	"net"
	"net/netip"
)

// Each calls a function with everything that arrives, until the channel from or the channel stopped
// is closed.
func Each[T any](from <-chan T, stopped <-chan struct{}, take func(T)) {
	for {
		select {
		case one, ok := <-from:
			if !ok {
				return
			}
			take(one)
		case <-stopped:
			return
		}
	}
}

// Streams calls a function with every stream that arrives, as Each does. It closes the streams that
// are left in the buffer of the channel.
func Streams(from <-chan net.Conn, stopped <-chan struct{}, take func(net.Conn)) {
	Each(from, stopped, take)
	for {
		select {
		case conn, ok := <-from:
			if !ok {
				return
			}
			_ = conn.Close()
		default:
			return
		}
	}
}

// SourceOf returns the IP address of an end. It is not valid when the transport has none.
func SourceOf(remote net.Addr) netip.Addr {
	switch remote := remote.(type) {
	case nil:
		return netip.Addr{}
	case *net.TCPAddr:
		return remote.AddrPort().Addr().Unmap()
	case *net.UDPAddr:
		return remote.AddrPort().Addr().Unmap()
	}
	addr, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

// NetworkOf returns the network for which the limits of a sender hold: one IPv4 address, or an IPv6 /64, because a
// host usually has a whole /64. The network of an invalid address is not valid.
func NetworkOf(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
