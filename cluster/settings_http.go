package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/membership/hostport"
	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/client"
)

// checkHTTP returns the errors of the HTTP options, also of options that contradict each
// other.
func (s *settings) checkHTTP() error {
	var errs []error
	if s.HTTPAddr != "" {
		if _, _, err := hostport.Split(s.HTTPAddr); err != nil {
			errs = append(errs, &option.Error{Field: "HTTPAddr", Value: s.HTTPAddr, Bound: "host:port, with a port from 0 to 65535"})
		}
	}
	return errors.Join(append(errs,
		s.checkAdvertised(),
		s.checkListener(),
		option.Under("HTTP.Server", s.HTTP.Server.Validate()),
		option.Under("HTTP.Guard", s.HTTP.Guard.Validate()),
		option.Under("HTTP.Handler", s.HTTP.Handler.Validate()),
		s.checkClear(),
	)...)
}

// checkAdvertised returns the error of HTTP.AdvertiseAddr.
func (s *settings) checkAdvertised() error {
	addr := s.HTTP.AdvertiseAddr
	if a, err := hostport.Parse(addr); addr != "" && (err != nil || a.Port == 0) {
		return &option.Error{Field: "HTTP.AdvertiseAddr", Value: addr, Bound: "host:port that others can reach"}
	}
	return nil
}

func (s *settings) checkListener() error {
	if s.HTTP.Listener == nil {
		return nil
	}
	addr := addrOf(s.HTTP.Listener)
	if addr == nil {
		return &option.Error{Field: "HTTP.Listener", Value: fmt.Sprintf("%T", s.HTTP.Listener), Bound: "an open listener: this one has no address"}
	}
	if _, ok := addr.(*net.TCPAddr); !ok {
		return &option.Error{Field: "HTTP.Listener", Value: addr.String(), Bound: "a listener with a TCP address"}
	}
	if s.HTTPAddr != "" {
		return &option.Error{Field: "HTTP.Listener", Value: addr.String(), Bound: "nil where HTTPAddr is set: HTTP is served on one of them"}
	}
	return nil
}

// addrOf returns nil where the listener has no address, or is nil in a variable of its type.
func addrOf(l net.Listener) (addr net.Addr) {
	_ = usercode.Call(func() error { addr = l.Addr(); return nil })
	return addr
}

// checkClear returns an error where TLS is configured and HTTP is not served, and where
// tokens would be sent in clear text.
func (s *settings) checkClear() error {
	addr, serves := s.serves()
	if !serves {
		if s.HTTP.Server.TLS != (client.TLSOptions{}) {
			return &option.Error{Field: "HTTP.Server.TLS", Value: s.HTTP.Server.TLS,
				Bound: "empty without HTTPAddr and HTTP.Listener: the server that Handler is mounted in has to encrypt"}
		}
		return nil
	}
	host, _, err := hostport.Split(addr)
	tokens := len(s.HTTP.Guard.Tokens) > 0 || s.HTTP.Guard.TokenFile != ""
	allowed := s.HTTP.Server.TLS.CertFile != "" || s.HTTP.Guard.TokensInClear || isLoopback(host)
	exposed := err == nil && tokens && !allowed
	if !exposed {
		return nil
	}
	field := "HTTPAddr"
	if s.HTTP.Listener != nil {
		field = "HTTP.Listener"
	}
	return &option.Error{Field: field, Value: addr,
		Bound: "a loopback address, or HTTP.Server.TLS or HTTP.Guard.TokensInClear set: tokens would be sent in clear"}
}

// serves returns the address on which HTTP is to be served, and whether the options have
// one.
func (o Options) serves() (addr string, ok bool) {
	if o.HTTP.Listener != nil {
		if addr := addrOf(o.HTTP.Listener); addr != nil {
			return addr.String(), true
		}
		return "", false
	}
	return o.HTTPAddr, o.HTTPAddr != ""
}

// expectedHTTPAddr returns the address to announce for HTTP, before the addresses are bound.
// Host or port may not be known yet. Then it returns the longest possible address, so that
// the announced attributes fit in any case.
func (o Options) expectedHTTPAddr() string {
	addr, ok := o.serves()
	if o.HTTP.AdvertiseAddr != "" || !ok {
		return o.HTTP.AdvertiseAddr
	}
	host, port, err := hostport.Split(addr)
	if err != nil {
		return ""
	}
	if isAnywhere(host) {
		host = "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
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
