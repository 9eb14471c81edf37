package memnet

import (
	"fmt"
	"net"
	"net/netip"
)

// canonical returns the form of an address that is used as a map key here: it turns an
// IPv4 address mapped into IPv6 into the IPv4 address.
func canonical(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// parseAddr parses an address in the text form of memberlist.
func parseAddr(addr string) (netip.AddrPort, error) {
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("memnet: %w", &net.AddrError{
			Err: "not an IP address with a port, and there are no host names here", Addr: addr,
		})
	}
	return canonical(parsed), nil
}
