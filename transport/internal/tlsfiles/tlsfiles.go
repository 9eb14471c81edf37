package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
)

// TLSOptions say how connections are encrypted and how each side knows the other.
// Servers and clients read the same struct, so that a member whose certificate
// serves for both needs it once. The zero value is no TLS for a server, and for
// a client TLS 1.3 against the system's roots.
//
// Files are PEM, at most 1 MiB each, and read again when their contents change:
// they are looked at while connections are made, at most once a second. New files
// that cannot be used, as when a certificate no longer goes with its key, are
// logged and leave the old ones in force.
type TLSOptions struct {
	// CertFile and KeyFile are the own certificate, followed by its
	// intermediates, and its private key: what a server shows, and what a
	// client shows to a server that asks. Both or none.
	CertFile, KeyFile string
	// ClientCAFile holds the certificates of those who may sign the
	// certificates of clients. A server that has one refuses clients without
	// such a certificate while shaking hands; clients ignore it.
	ClientCAFile string
	// RootCAFile holds the certificates of those whose signature a client
	// trusts on a server's certificate, in place of the system's; servers
	// ignore it.
	RootCAFile string
	// ServerName is the name a client expects in the server's certificate, in
	// place of the host of the URL: for members that are reached by addresses
	// their certificates do not list. Servers ignore it.
	ServerName string
	// AllowTLS12 also takes TLS 1.2, with ciphers that keep past traffic
	// secret when a key is lost later. False: 1.3 and nothing else.
	AllowTLS12 bool
}

// on says whether there is anything for a server to do with it.
func (o TLSOptions) on() bool { return o.CertFile != "" || o.KeyFile != "" }

// validate reports what does not go together, each field named after the prefix.
func (o TLSOptions) validate(prefix string) []error {
	var errs []error
	bad := func(field, value, bound string) {
		errs = append(errs, &OptionError{Field: prefix + field, Value: value, Bound: bound})
	}
	switch {
	case o.CertFile == "" && o.KeyFile != "":
		bad("CertFile", "", "set when KeyFile is: a key needs its certificate")
	case o.CertFile != "" && o.KeyFile == "":
		bad("KeyFile", "", "set when CertFile is: a certificate needs its key")
	}
	return errs
}

// validateServer also reports what a server cannot do without a certificate of
// its own.
func (o TLSOptions) validateServer(prefix string) []error {
	errs := o.validate(prefix)
	if o.on() {
		return errs
	}
	bound := "empty without CertFile and KeyFile: the server needs a certificate of its own"
	if o.ClientCAFile != "" {
		errs = append(errs, &OptionError{Field: prefix + "ClientCAFile", Value: o.ClientCAFile, Bound: bound})
	}
	if o.AllowTLS12 {
		errs = append(errs, &OptionError{Field: prefix + "AllowTLS12", Value: true, Bound: "false without CertFile and KeyFile: the server needs a certificate of its own"})
	}
	return errs
}

// credentials are what the files of TLSOptions hold.
type credentials struct {
	certificate *tls.Certificate // nil without CertFile
	clientCAs   *x509.CertPool   // nil without ClientCAFile
	rootCAs     *x509.CertPool   // nil without RootCAFile
}

func (o TLSOptions) watch(logger *slog.Logger) (*watched[credentials], error) {
	paths := []string{o.CertFile, o.KeyFile, o.ClientCAFile, o.RootCAFile}
	return watch(paths, logger, func(contents [][]byte) (c credentials, err error) {
		if o.CertFile != "" {
			pair, err := tls.X509KeyPair(contents[0], contents[1])
			if err != nil {
				return c, fmt.Errorf("certificate %q with key %q: %w", o.CertFile, o.KeyFile, err)
			}
			c.certificate = &pair
		}
		if c.clientCAs, err = parsePool(o.ClientCAFile, contents[2]); err != nil {
			return c, err
		}
		c.rootCAs, err = parsePool(o.RootCAFile, contents[3])
		return c, err
	})
}

// parsePool refuses what x509.CertPool would skip over: half a bundle would turn
// half of the others away.
func parsePool(path string, content []byte) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pool, found := x509.NewCertPool(), false
	for len(content) > 0 {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("file %q holds a %s: must hold certificates only", path, cut(block.Type))
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", path, err)
		}
		pool.AddCert(certificate)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("file %q holds no certificate", path)
	}
	return pool, nil
}

// base is what all connections have in common.
func (o TLSOptions) base() *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		// A resumed session would outlive the certificate it was made with.
		// Connections are few and long: there is little to save.
		SessionTicketsDisabled: true,
	}
	if o.AllowTLS12 {
		config.MinVersion = tls.VersionTLS12
	}
	return config
}

// ServerConfig returns a configuration for a server of one's own in which the
// handler is mounted; [Listen] makes its own. It reads the files, and returns an
// error when they cannot be used or the options do not go together. A nil logger
// means [slog.Default]. Connections that stand when the files change are left
// alone.
func (o TLSOptions) ServerConfig(logger *slog.Logger) (*tls.Config, error) {
	if err := errors.Join(o.validateServer("TLSOptions.")...); err != nil {
		return nil, err
	}
	if !o.on() {
		return nil, &OptionError{Field: "TLSOptions.CertFile", Value: "", Bound: "set: a server needs a certificate"}
	}
	files, err := o.watch(orDefault(logger, slog.Default()))
	if err != nil {
		return nil, fmt.Errorf("transport: TLS of the server: %w", err)
	}
	with := func(c *credentials) *tls.Config {
		config := o.base()
		config.Certificates = []tls.Certificate{*c.certificate}
		if c.clientCAs != nil {
			config.ClientCAs, config.ClientAuth = c.clientCAs, tls.RequireAndVerifyClientCert
		}
		return config
	}
	config := with(files.get())
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return with(files.get()), nil }
	return config, nil
}

// clientTLS makes the configuration of each connection to a server.
type clientTLS struct {
	options TLSOptions
	files   *watched[credentials]
}

func newClientTLS(o TLSOptions, logger *slog.Logger) (*clientTLS, error) {
	files, err := o.watch(logger)
	if err != nil {
		return nil, fmt.Errorf("transport: TLS of the client: %w", err)
	}
	return &clientTLS{options: o, files: files}, nil
}

// config is that of a connection to a host.
func (t *clientTLS) config(host string, c *credentials) *tls.Config {
	config := t.options.base()
	config.ServerName = orDefault(t.options.ServerName, host)
	config.RootCAs = c.rootCAs
	if c.certificate != nil {
		// By hand rather than in Certificates: that one is left out, without
		// a word, when the server's list of authorities does not have its
		// issuer, and the server's refusal would then name the wrong reason.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.certificate, nil
		}
	}
	return config
}
