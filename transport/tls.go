package transport

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/tlsfiles"
)

// encrypts reports whether any option of TLS for a server is set.
func encrypts(o client.TLSOptions) bool { return o.CertFile != "" || o.KeyFile != "" }

// validateTLS also returns errors for options that need a certificate of the server.
func validateTLS(o client.TLSOptions) error {
	err := o.Validate()
	if encrypts(o) {
		return err
	}
	const bound = " without CertFile and KeyFile: the server needs a certificate of its own"
	errs := []error{err}
	if o.ClientCAFile != "" {
		errs = append(errs, &option.Error{Field: "ClientCAFile", Value: o.ClientCAFile, Bound: "empty" + bound})
	}
	if o.AllowTLS12 {
		errs = append(errs, &option.Error{Field: "AllowTLS12", Value: true, Bound: "false" + bound})
	}
	return errors.Join(errs...)
}

// ServerTLS returns a TLS configuration for a server of your own, in which the handler
// is mounted. [Listen] and [Serve] make their own. It reads the files, and returns an
// error when they cannot be used, or an [option.Error] when there is no certificate or
// options contradict each other. A nil logger means [slog.Default]. When the files
// change, new connections use the new contents; open connections stay as they are.
func ServerTLS(o client.TLSOptions, logger *slog.Logger) (*tls.Config, error) {
	config, _, err := watchedTLS(o, logger)
	return config, err
}

// watchedTLS also returns the files that the configuration follows.
func watchedTLS(o client.TLSOptions, logger *slog.Logger) (*tls.Config, *reload.Value[tlsfiles.Credentials], error) {
	err := validateTLS(o)
	if err == nil && !encrypts(o) {
		err = &option.Error{Field: "CertFile", Value: "", Bound: "set: a server needs a certificate"}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("transport: TLS of the server: %w", err)
	}
	paths := tlsfiles.Paths{Cert: o.CertFile, Key: o.KeyFile, ClientCA: o.ClientCAFile, RootCA: o.RootCAFile}
	files, err := tlsfiles.Watch(paths, cmp.Or(logger, slog.Default()))
	if err != nil {
		return nil, nil, fmt.Errorf("transport: TLS of the server: %w", err)
	}
	with := func(c *tlsfiles.Credentials) *tls.Config {
		config := tlsfiles.Config(o.AllowTLS12)
		config.Certificates = []tls.Certificate{*c.Certificate}
		if c.ClientCAs != nil {
			config.ClientCAs, config.ClientAuth = c.ClientCAs, tls.RequireAndVerifyClientCert
		}
		return config
	}
	config := with(files.Get())
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return with(files.Get()), nil }
	return config, files, nil
}
