package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/clusterkit/clusterkit/ring/option"
)

// clientKey returns the client for which a request is counted: the address it comes from,
// or for IPv6 the network of 64 bits, because one customer gets such a network. Behind
// trusted proxies it is the last address in X-Forwarded-For that is not a trusted proxy.
// An untrusted client may have written the addresses before it. All requests of unknown
// origin count as one client.
func clientKey(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	addr := parseHop(r.RemoteAddr)
	if trusts(trusted, addr) {
		addr = forwardedFor(r.Header.Values("X-Forwarded-For"), addr, trusted)
	}
	return prefixOf(addr)
}

// prefixOf returns the client of an address, and the zero prefix for the zero address.
func prefixOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// forwardedFor yields the hops of X-Forwarded-For, the nearest first.
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
			return nearest // the proxy's header cannot be parsed
		}
		if nearest = addr; !trusts(trusted, addr) {
			return addr
		}
	}
	return nearest
}

// parseHop parses an address with or without a port, and returns its canonical form.
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

// parseProxies parses the prefixes of trusted proxies.
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
