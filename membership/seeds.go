package membership

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/clusterkit/clusterkit/internal/usercode"
)

const (
	maxSeeds        = 256 // the largest number of addresses that one search dials
	parallelLookups = 8
)

// seed is a parsed entry of a seed list.
type seed struct {
	host string
	addr netip.Addr // valid only when host is an IP address
	port uint16     // 0 means the default
}

// CheckSeed returns the error of an address to join through, host:port or host, and nil
// for a valid one. It does not look names up.
func CheckSeed(s string) error {
	_, err := parseSeed(s)
	return err
}

func parseSeed(s string) (seed, error) {
	fail := func(format string, args ...any) (seed, error) {
		return seed{}, fmt.Errorf("membership: seed %.*q: %s", maxHostName, s, fmt.Sprintf(format, args...))
	}
	if s == "" {
		return fail("is empty, want host:port or host")
	}
	host, port, hasPort := s, "", false
	if _, err := netip.ParseAddr(s); err != nil && strings.Contains(s, ":") {
		if bare, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(bare, "]") {
			host = strings.TrimSuffix(bare, "]")
		} else if host, port, err = net.SplitHostPort(s); err != nil {
			return fail("want host:port or host, with an IPv6 address in brackets when a port follows")
		} else {
			hasPort = true
		}
	}
	out := seed{host: host}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fail("port %.*q is not a number in [1, 65535]", maxHostName, port)
		}
		out.port = uint16(n)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return fail("an IPv6 zone has a meaning on one host only, give an address without")
		}
		out.addr = addr.Unmap()
		if err := checkReachable(out.addr); err != nil {
			return fail("%v", err)
		}
		return out, nil
	}
	if why := checkHostName(host); why != "" {
		return fail("%s", why)
	}
	return out, nil
}

const maxHostName = 253

// checkHostName returns the error of a host name, or nil. It accepts underscores, which
// the standard does not allow and many host names have.
func checkHostName(host string) string {
	name := strings.TrimSuffix(host, ".")
	if name == "" {
		return "has no host"
	}
	if len(name) > maxHostName {
		return fmt.Sprintf("host name has %d bytes, the limit is %d", len(name), maxHostName)
	}
	var label string
	for label = range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 {
			return "host name has a part that is not 1 to 63 bytes long"
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return "host name has a character other than A-Z a-z 0-9 . _ -"
		}
	}
	if strings.Trim(label, "0123456789") == "" {
		return "is neither an IP address nor a host name, which cannot end in a number"
	}
	return ""
}

// resolveSeeds returns the addresses of the entries, each once and in their order, IPv4
// in its short form. Of more than maxSeeds it returns others each time, in no order: those of a large cluster, of which a
// search need not find all at once. It looks names up, several at a time. An
// entry without a port gets defaultPort. A nil resolver means net.DefaultResolver. The
// error joins the errors of single entries; the addresses of the other entries are
// returned with it. It blocks until all lookups have ended or ctx ends.
func resolveSeeds(ctx context.Context, r Resolver, defaultPort uint16, entries []string) ([]netip.AddrPort, error) {
	r = orDefault(r)
	entries = distinct(entries)
	entries = sample(entries, maxSeedEntries)
	addrs := make([][]netip.AddrPort, len(entries))
	failed := make([]error, len(entries))
	slots := make(chan struct{}, parallelLookups)
	var wg sync.WaitGroup
	for i, entry := range entries {
		s, err := parseSeed(entry)
		if err != nil {
			failed[i] = err
			continue
		}
		if s.port == 0 {
			s.port = defaultPort
		}
		if s.addr.IsValid() {
			addrs[i] = []netip.AddrPort{netip.AddrPortFrom(s.addr, s.port)}
			continue
		}
		slots <- struct{}{} // lookups end with ctx, so this wait does too
		wg.Go(func() {
			defer func() { <-slots }()
			usercode.Run(func() (err error) { addrs[i], err = s.lookup(ctx, r); return err }, func(err error) { failed[i] = err })
		})
	}
	wg.Wait()

	var all []netip.AddrPort
	for _, some := range addrs {
		all = append(all, some...)
	}
	return sample(distinct(all), maxSeeds), errors.Join(failed...)
}

// sample returns all elements in their order, or pick of them when there are more than a number.
func sample[T any](all []T, most int) []T {
	if len(all) <= most {
		return all
	}
	return pick(all, most)
}

func (s seed) lookup(ctx context.Context, r Resolver) ([]netip.AddrPort, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("membership: looking up seed %q: %w", s.host, err)
	}
	found, err := r.LookupNetIP(ctx, "ip", s.host)
	if err != nil {
		return nil, fmt.Errorf("membership: looking up seed %q: %w", s.host, err)
	}
	var addrs []netip.AddrPort
	for _, a := range found {
		if a = a.Unmap(); a.IsValid() && a.Zone() == "" && checkReachable(a) == nil {
			addrs = append(addrs, netip.AddrPortFrom(a, s.port))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("membership: looking up seed %q: no usable address among %d", s.host, len(found))
	}
	return addrs, nil
}
