package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

// checkHTTP returns what is wrong with the options of HTTP, and what does not go together.
func (s *settings) checkHTTP() error {
	var errs []error
	if s.HTTPAddr != "" {
		if _, _, err := splitHostPort(s.HTTPAddr); err != nil {
			errs = append(errs, &option.Error{Field: "HTTPAddr", Value: s.HTTPAddr, Bound: "host:port, with a port from 0 to 65535"})
		}
	}
	if addr := s.HTTP.AdvertiseAddr; addr != "" {
		if host, port, err := splitHostPort(addr); err != nil || host == "" || port == 0 {
			errs = append(errs, &option.Error{Field: "HTTP.AdvertiseAddr", Value: addr, Bound: "host:port that others can reach"})
		}
	}
	return errors.Join(append(errs,
		s.checkListener(),
		option.Under("HTTP.Server", s.HTTP.Server.Validate()),
		option.Under("HTTP.Guard", s.HTTP.Guard.Validate()),
		option.Under("HTTP.Handler", s.HTTP.Handler.Validate()),
		s.checkClear(),
	)...)
}

func (s *settings) checkListener() error {
	if s.HTTP.Listener == nil {
		return nil
	}
	addr := s.HTTP.Listener.Addr()
	if _, ok := addr.(*net.TCPAddr); !ok {
		return &option.Error{Field: "HTTP.Listener", Value: addr.String(), Bound: "a listener with a TCP address"}
	}
	if s.HTTPAddr != "" {
		return &option.Error{Field: "HTTP.Listener", Value: addr.String(), Bound: "nil where HTTPAddr is set: HTTP is served on one of them"}
	}
	return nil
}

// checkClear returns an error where TLS is asked for and nothing is served, and where tokens
// would be sent in clear.
func (s *settings) checkClear() error {
	addr, serves := s.serves()
	if !serves {
		if s.HTTP.Server.TLS != (client.TLSOptions{}) {
			return &option.Error{Field: "HTTP.Server.TLS", Value: s.HTTP.Server.TLS,
				Bound: "empty without HTTPAddr and HTTP.Listener: the server that Handler is mounted in has to encrypt"}
		}
		return nil
	}
	host, _, malformed := splitHostPort(addr)
	tokens := len(s.HTTP.Guard.Tokens) > 0 || s.HTTP.Guard.TokenFile != ""
	if malformed != nil || !tokens || s.HTTP.Server.TLS.CertFile != "" || s.HTTP.Guard.TokensInClear || isLoopback(host) {
		return nil
	}
	field := "HTTPAddr"
	if s.HTTP.Listener != nil {
		field = "HTTP.Listener"
	}
	return &option.Error{Field: field, Value: addr,
		Bound: "a loopback address, or HTTP.Server.TLS or HTTP.Guard.TokensInClear set: tokens would be sent in clear"}
}

// newHandler makes the HTTP interface. It reads the files that the interface and its server
// will need, so that New returns what is wrong with them.
func (c *Cluster) newHandler() error {
	guard, err := transport.NewGuard(c.settings.HTTP.Guard)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if _, serves := c.settings.serves(); serves && c.settings.HTTP.Server.TLS.CertFile != "" {
		if _, err := transport.ServerTLS(c.settings.HTTP.Server.TLS, c.settings.Logger); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if err := c.newPool(); err != nil {
		return err
	}
	c.settings.HTTP.Guard.Tokens = nil // guard and pool have what they need of them
	c.guard = guard
	o := c.settings.HTTP.Handler
	o.Middleware = append([]func(http.Handler) http.Handler{guard.Wrap}, o.Middleware...)
	c.handler, err = transport.NewHandler(httpView{c}, o)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// newPool makes the pool of Client. It reads the files of TLS and the tokens.
func (c *Cluster) newPool() (err error) {
	guard := c.settings.HTTP.Guard
	o := client.PoolOptions{TLS: c.settings.HTTP.Server.TLS, TokensInClear: guard.TokensInClear, Logger: c.settings.Logger}
	if len(guard.Tokens) > 0 {
		o.Token = guard.Tokens[0].Token
	} else {
		o.TokenFile = guard.TokenFile
	}
	if c.pool, err = client.NewPool(o); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}
