// Package hostport parses the addresses of options: host:port, and host.
//
// It is for the packages of this module, and may change in any release.
package hostport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxName is the largest number of bytes of a host name.
const maxName = 253

// Split splits an address into host and port. The host may be empty, and the port 0. It checks no host.
func Split(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}

// Address is an address at which a process can be reached.
type Address struct {
	Host string
	IP   netip.Addr // valid only when Host is an IP address
	Port uint16     // 0: the address names none
}

// Parse parses host:port or host. It looks no name up. It refuses addresses that mean no single
// process, and those with a zone, which has a meaning on one host only.
func Parse(s string) (Address, error) {
	if s == "" {
		return Address{}, errors.New("is empty, want host:port or host")
	}
	host, port, hasPort := s, "", false
	if _, err := netip.ParseAddr(s); err != nil && strings.Contains(s, ":") {
		if bare, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(bare, "]") {
			host = strings.TrimSuffix(bare, "]")
		} else if host, port, err = net.SplitHostPort(s); err != nil {
			return Address{}, errors.New("want host:port or host, with an IPv6 address in brackets when a port follows")
		} else {
			hasPort = true
		}
	}
	out := Address{Host: host}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Address{}, fmt.Errorf("port %.*q is not a number in [1, 65535]", maxName, port)
		}
		out.Port = uint16(n)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if err := CheckName(host); err != nil {
			return Address{}, err
		}
		return out, nil
	}
	if ip.Zone() != "" {
		return Address{}, errors.New("an IPv6 zone has a meaning on one host only, give an address without")
	}
	out.IP = ip.Unmap()
	if err := CheckReachable(out.IP); err != nil {
		return Address{}, err
	}
	return out, nil
}

// CheckName returns the error of a host name. It accepts underscores, which the standard does not
// allow and many host names have.
func CheckName(host string) error {
	name := strings.TrimSuffix(host, ".")
	if name == "" {
		return errors.New("has no host")
	}
	if len(name) > maxName {
		return fmt.Errorf("host name has %d bytes, the limit is %d", len(name), maxName)
	}
	var label string
	for label = range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 {
			return errors.New("host name has a part that is not 1 to 63 bytes long")
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return errors.New("host name has a character other than A-Z a-z 0-9 . _ -")
		}
	}
	if strings.Trim(label, "0123456789") == "" {
		return errors.New("is neither an IP address nor a host name, which cannot end in a number")
	}
	return nil
}

// CheckReachable returns the error of an IP address that cannot belong to one process.
func CheckReachable(addr netip.Addr) error {
	switch {
	case addr.IsUnspecified():
		return fmt.Errorf("%s means any address, not one that others can reach", addr)
	case addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is a group of hosts, not one", addr)
	}
	return nil
}
