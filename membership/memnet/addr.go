package memnet

import (
	"fmt"
	"net"
	"net/netip"
)

// canonical gives an address the one form under which it is a map key here:
// an IPv4 address mapped into IPv6 is that IPv4 address.
func canonical(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// parseAddr parses the text form that memberlist hands to a transport.
func parseAddr(addr string) (netip.AddrPort, error) {
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("memnet: %w", &net.AddrError{
			Err: "not an IP address with a port, and there are no host names here", Addr: addr,
		})
	}
	return canonical(parsed), nil
}
