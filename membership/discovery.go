package membership

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Discovery finds addresses through which to join the cluster. It is asked again at
// every attempt to join, so its answers may change.
type Discovery interface {
	// Discover returns addresses, host:port, or host alone for the gossip port
	// this member listens on; a host is a name or an IP address. Addresses
	// and an error may come together: then the addresses are used and the
	// error is reported. It may block until ctx ends, and must return then. It
	// must be safe for concurrent use. A panic counts as an error. A call that
	// does not return is reported, and Stop leaves it behind.
	Discover(ctx context.Context) ([]string, error)
}

// DiscoveryFunc makes a Discovery from a function.
type DiscoveryFunc func(ctx context.Context) ([]string, error)

// Discover calls the function.
func (f DiscoveryFunc) Discover(ctx context.Context) ([]string, error) { return f(ctx) }

func (f DiscoveryFunc) check() error {
	if f == nil {
		return &option.Error{Field: "DiscoveryFunc", Value: nil, Bound: "a function"}
	}
	return nil
}

// Resolver looks names up. A *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip", "ip4" or
	// "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupSRV returns the canonical name and the records of
	// _service._proto.name, or of name itself when service and proto are
	// empty, sorted by priority.
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// orDefault returns net.DefaultResolver for a nil resolver.
func orDefault(r Resolver) Resolver {
	if r == nil {
		return net.DefaultResolver
	}
	return r
}

// Static is a Discovery of fixed addresses, in the order given. Names among
// them are looked up again on every attempt. Without addresses it finds none.
func Static(addrs ...string) Discovery { return static(slices.Clone(addrs)) }

type static []string

func (s static) Discover(context.Context) ([]string, error) { return slices.Clone(s), nil }

// fixed reports whether all addresses are IP addresses or names of this host, so that every
// attempt finds the same ones.
func (s static) fixed() bool {
	return !slices.ContainsFunc(s, func(addr string) bool {
		one, err := parseSeed(addr)
		name := strings.ToLower(strings.TrimSuffix(one.Host, "."))
		return err != nil || !one.IP.IsValid() && name != "localhost" && !strings.HasSuffix(name, ".localhost")
	})
}

func (s static) check() error {
	var errs []error
	for i, addr := range s {
		if _, err := parseSeed(addr); err != nil {
			errs = append(errs, &option.Error{Field: fmt.Sprintf("Static[%d]", i), Value: addr, Bound: "host:port or host"})
		}
	}
	return errors.Join(errs...)
}

// isFixed reports whether a Discovery finds the same addresses at every attempt. The answers of
// DNS, of files and of implementations outside this package may change.
func isFixed(d Discovery) bool {
	f, ok := d.(interface{ fixed() bool })
	return ok && f.fixed()
}

// checkDiscovery returns the errors in the fields of a Discovery of this package, without
// calling it. For other implementations it returns nil.
func checkDiscovery(d Discovery) error {
	if checked, ok := d.(interface{ check() error }); ok {
		return checked.check()
	}
	return nil
}

// Join is a Discovery that asks all of d at once. It returns the addresses that any of them
// found, in the order of d and each address once, and the errors of those that failed. A
// failure hides no address that another discovery found. It waits for the slowest, at most
// until ctx ends. Nil entries are skipped.
func Join(d ...Discovery) Discovery {
	return joined(slices.DeleteFunc(slices.Clone(d), func(one Discovery) bool { return one == nil }))
}

type joined []Discovery

func (d joined) Discover(ctx context.Context) ([]string, error) {
	found := make([][]string, len(d))
	errs := make([]error, len(d))
	var wg sync.WaitGroup
	for i, one := range d {
		wg.Go(func() {
			usercode.Run(func() (err error) { found[i], err = one.Discover(ctx); return err }, func(err error) { errs[i] = err })
		})
	}
	wg.Wait()
	return distinct(slices.Concat(found...)), errors.Join(errs...)
}

func (d joined) fixed() bool {
	return !slices.ContainsFunc(d, func(one Discovery) bool { return !isFixed(one) })
}

func (d joined) check() error {
	errs := make([]error, len(d))
	for i, one := range d {
		errs[i] = checkDiscovery(one)
	}
	return errors.Join(errs...)
}

// distinct returns the first of each value, in order.
func distinct[T comparable](all []T) []T {
	seen := make(map[T]struct{}, len(all))
	var out []T
	for _, v := range all {
		if _, dup := seen[v]; !dup {
			seen[v] = struct{}{}
			out = append(out, v)
		}
	}
	return out
}

// logPanic logs where discovery panicked, once an hour.
func (m *Membership) logPanic(err error) {
	if p, ok := errors.AsType[*usercode.Error](err); ok && p.Panic != nil {
		if ok, held := m.lines.repeats.say(p.Error(), m.settings.now()); ok {
			m.log.With(attributes("", held)...).Error("discovery panicked", "panic", p.Panic, "stack", p.Stack)
		}
	}
}
