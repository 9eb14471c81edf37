package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/clusterkit/clusterkit/ring/option"
)

// clientKey is the client that a request is counted for: the address it comes from, or for
// IPv6 the network of 64 bits, which is what one customer is given. Behind
// trusted proxies it is the last address in X-Forwarded-For that is not one of
// theirs: what stands before it was written by a client that is not trusted. A
// request whose origin cannot be told is counted with all others of that kind.
func clientKey(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	addr := parseHop(r.RemoteAddr)
	if trusts(trusted, addr) {
		addr = forwardedFor(r.Header.Values("X-Forwarded-For"), addr, trusted)
	}
	return prefixOf(addr)
}

// prefixOf is the client an address belongs to; the zero prefix for the zero
// address.
func prefixOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// forwardedFor goes through the hops from the nearest on.
func forwardedFor(lines []string, nearest netip.Addr, trusted []netip.Prefix) netip.Addr {
	rest := strings.Join(lines, ",")
	for rest != "" {
		hop := rest
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, hop = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		addr := parseHop(strings.TrimSpace(hop))
		if !addr.IsValid() {
			return nearest // the proxy says nothing that can be read
		}
		if nearest = addr; !trusts(trusted, addr) {
			return addr
		}
	}
	return nearest
}

// parseHop reads an address with or without a port, in its plainest form.
func parseHop(text string) netip.Addr {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		pair, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}
		}
		addr = pair.Addr()
	}
	return addr.Unmap().WithZone("")
}

func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	for _, p := range trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseProxies reads the prefixes of trusted proxies.
func parseProxies(texts []string) (prefixes []netip.Prefix, errs []error) {
	for i, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Bits() == 0 || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
			errs = append(errs, &option.Error{Field: fmt.Sprintf("TrustedProxies[%d]", i), Value: text,
				Bound: "an address with the length of its prefix, 1 or more, such as 10.1.0.0/16 or 10.1.2.3/32"})
			continue
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, errs
}
