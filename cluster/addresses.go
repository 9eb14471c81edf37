package cluster

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// serves returns the address that HTTP is to be served on, as far as the options tell, and
// whether there is one.
func (o Options) serves() (addr string, ok bool) {
	if o.HTTP.Listener != nil {
		return o.HTTP.Listener.Addr().String(), true
	}
	return o.HTTPAddr, o.HTTPAddr != ""
}

// expectedHTTPAddr returns the address to announce for HTTP, as far as the options tell. The
// port and the host may be known only once the addresses are bound. Until then it is the
// longest address that it can become, so that what is announced fits then too.
func (o Options) expectedHTTPAddr() string {
	addr, ok := o.serves()
	if o.HTTP.AdvertiseAddr != "" || !ok {
		return o.HTTP.AdvertiseAddr
	}
	host, port, err := splitHostPort(addr)
	if err != nil {
		return ""
	}
	if isAnywhere(host) {
		host = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	}
	if port == 0 {
		port = 65535
	}
	return joinHostPort(host, port)
}

// isAnywhere reports whether a host stands for every address of this machine.
func isAnywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

func joinHostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}
