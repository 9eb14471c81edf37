package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

// checkHTTP reports what is wrong with the options of HTTP's server and guard,
// and what does not go together.
func (o Options) checkHTTP() []error {
	errs := append(ofTransport("HTTP", o.HTTP.Validate()), ofTransport("Guard", o.Guard.Validate())...)
	if o.HTTPAddr == "" {
		if o.HTTP.TLS != (client.TLSOptions{}) {
			errs = append(errs, &OptionError{Field: "HTTP.TLS", Value: o.HTTP.TLS,
				Bound: "empty without HTTPAddr: the server that Handler is mounted in has to encrypt"})
		}
		return errs
	}
	host, _, err := splitHostPort(o.HTTPAddr)
	tokens := len(o.Guard.Tokens) > 0 || o.Guard.TokenFile != ""
	if err == nil && tokens && o.HTTP.TLS.CertFile == "" && !o.Guard.TokensInClear && !isLoopback(host) {
		errs = append(errs, &OptionError{Field: "HTTPAddr", Value: o.HTTPAddr,
			Bound: "a loopback address, or HTTP.TLS or Guard.TokensInClear set: tokens would be sent in clear"})
	}
	return errs
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// ofTransport gives transport's complaints the names our options have.
func ofTransport(field string, err error) (errs []error) {
	for _, err := range option.All(option.Under(field, err)) {
		if o, ok := errors.AsType[*option.Error](err); ok {
			err = &OptionError{Field: o.Field, Value: o.Value, Bound: o.Bound}
		}
		errs = append(errs, err)
	}
	return errs
}

// newHandler makes the HTTP interface, and reads the files that it and its server
// will need, so that what is wrong with them is known before the start.
func (c *Cluster) newHandler() error {
	guard, err := transport.NewGuard(c.settings.Guard)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if c.settings.HTTPAddr != "" && c.settings.HTTP.TLS.CertFile != "" {
		if _, err := transport.ServerTLS(c.settings.HTTP.TLS, c.settings.Logger); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	c.settings.Guard.Tokens = nil // the guard has what it needs of them
	c.guard = guard
	c.handler, err = transport.NewHandler(httpView{c}, transport.HandlerOptions{
		Logger: c.settings.Logger, Middleware: []func(http.Handler) http.Handler{guard.Wrap},
	})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}
