package membership

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/membership/hostport"
	"github.com/clusterkit/clusterkit/ring/option"
)

// DNS is a Discovery that looks up the A and AAAA records of a name, as a
// headless service has them: each address is one member.
type DNS struct {
	// Name is the name to look up; required.
	Name string
	// Port is the gossip port of all the members found, 1 to 65535; required.
	Port int
	// Resolver answers; nil means net.DefaultResolver.
	Resolver Resolver
}

// Discover looks the name up, until ctx ends. If the name does not exist, it returns an
// error; errors.As finds the *net.DNSError. It is safe for concurrent use.
func (d DNS) Discover(ctx context.Context) ([]string, error) {
	if d.Name == "" {
		return nil, errors.New("membership: DNS discovery: Name is empty")
	}
	if d.Port < 1 || d.Port > 65535 {
		return nil, fmt.Errorf("membership: DNS discovery of %q: Port %d is not in [1, 65535]", d.Name, d.Port)
	}
	addrs, err := orDefault(d.Resolver).LookupNetIP(ctx, "ip", d.Name)
	if err != nil {
		return nil, fmt.Errorf("membership: DNS discovery: looking up %q: %w", d.Name, err)
	}
	found := make([]string, 0, len(addrs))
	for _, a := range addrs {
		found = append(found, net.JoinHostPort(a.Unmap().String(), strconv.Itoa(d.Port)))
	}
	return distinct(found), nil
}

func (d DNS) check() error {
	errs := []error{checkLookup(d.Name)}
	if d.Port < 1 || d.Port > 65535 {
		errs = append(errs, &option.Error{Field: "Port", Value: d.Port, Bound: "between 1 and 65535"})
	}
	return errors.Join(errs...)
}

// checkLookup returns the error of a name to look up. An IP address is a valid name, whose
// lookup returns itself.
func checkLookup(name string) error {
	if _, err := netip.ParseAddr(name); err == nil || hostport.CheckName(name) == nil {
		return nil
	}
	return &option.Error{Field: "Name", Value: name, Bound: "a host name"}
}

// SRV is a Discovery that looks up the SRV records of a service: each record
// is one member with a port of its own. Priorities and weights only order the
// result.
type SRV struct {
	// Service, Proto and Name make the name to look up, _Service._Proto.Name.
	// With Service and Proto empty it is Name as it stands. Name is required.
	Service, Proto, Name string
	// Resolver answers; nil means net.DefaultResolver.
	Resolver Resolver
}

// Discover looks the records up, until ctx ends. If there are none, it returns an
// error; errors.As finds the *net.DNSError. It is safe for concurrent use.
func (s SRV) Discover(ctx context.Context) ([]string, error) {
	if s.Name == "" {
		return nil, errors.New("membership: SRV discovery: Name is empty")
	}
	_, records, err := orDefault(s.Resolver).LookupSRV(ctx, s.Service, s.Proto, s.Name)
	if err != nil {
		// The resolver may drop the invalid records and return the others.
		err = fmt.Errorf("membership: SRV discovery: looking up service %q, protocol %q, name %q: %w", s.Service, s.Proto, s.Name, err)
	}
	found := make([]string, 0, len(records))
	for _, r := range records {
		host := strings.TrimSuffix(r.Target, ".")
		if host == "" || r.Port == 0 {
			continue // the record says that the service is not there
		}
		found = append(found, net.JoinHostPort(host, strconv.Itoa(int(r.Port))))
	}
	return distinct(found), err
}

func (s SRV) check() error {
	errs := []error{checkLookup(s.Name)}
	if (s.Service == "") != (s.Proto == "") {
		errs = append(errs, &option.Error{Field: "Proto", Value: s.Proto, Bound: "set where Service is, and empty where Service is"})
	}
	return errors.Join(errs...)
}
