package membership

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/clusterkit/clusterkit/membership/hostport"
	"github.com/clusterkit/clusterkit/membership/usercode"
)

const (
	maxSeeds        = 256 // the largest number of addresses that one search dials
	parallelLookups = 8
	maxSeedText     = 253 // bytes of an entry in an error
)

// parseSeed parses an address to join through, host:port or host. Port 0 means the default.
func parseSeed(s string) (hostport.Address, error) {
	a, err := hostport.Parse(s)
	if err != nil {
		return a, fmt.Errorf("membership: seed %.*q: %w", maxSeedText, s, err)
	}
	return a, nil
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
		if s.Port == 0 {
			s.Port = defaultPort
		}
		if s.IP.IsValid() {
			addrs[i] = []netip.AddrPort{netip.AddrPortFrom(s.IP, s.Port)}
			continue
		}
		slots <- struct{}{} // lookups end with ctx, so this wait does too
		wg.Go(func() {
			defer func() { <-slots }()
			usercode.Run(func() (err error) { addrs[i], err = lookupSeed(ctx, s, r); return err }, func(err error) { failed[i] = err })
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

// lookupSeed looks up the name of a seed.
func lookupSeed(ctx context.Context, s hostport.Address, r Resolver) ([]netip.AddrPort, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("membership: looking up seed %q: %w", s.Host, err)
	}
	found, err := r.LookupNetIP(ctx, "ip", s.Host)
	if err != nil {
		return nil, fmt.Errorf("membership: looking up seed %q: %w", s.Host, err)
	}
	var addrs []netip.AddrPort
	for _, a := range found {
		if a = a.Unmap(); a.IsValid() && a.Zone() == "" && hostport.CheckReachable(a) == nil {
			addrs = append(addrs, netip.AddrPortFrom(a, s.Port))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("membership: looking up seed %q: no usable address among %d", s.Host, len(found))
	}
	return addrs, nil
}
