package client

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/tlsfiles"
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
	// ClientCAFile holds the certificates of the authorities that may sign the
	// certificates of clients. A server that has one refuses clients without
	// such a certificate while shaking hands; clients ignore it.
	ClientCAFile string
	// RootCAFile holds the certificates of the authorities whose signature a
	// client trusts on a server's certificate, in place of the system's; servers
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

// Validate returns an [option.Error] for a certificate without its key, or a key
// without its certificate. It opens nothing.
func (o TLSOptions) Validate() error {
	switch {
	case o.CertFile == "" && o.KeyFile != "":
		return &option.Error{Field: "CertFile", Value: "", Bound: "set when KeyFile is: a key needs its certificate"}
	case o.CertFile != "" && o.KeyFile == "":
		return &option.Error{Field: "KeyFile", Value: "", Bound: "set when CertFile is: a certificate needs its key"}
	}
	return nil
}

// clientTLS makes the configuration of each connection to a server.
type clientTLS struct {
	options TLSOptions
	files   *reload.Value[tlsfiles.Credentials]
}

func newClientTLS(o TLSOptions, logger *slog.Logger) (*clientTLS, error) {
	files, err := tlsfiles.Watch(tlsfiles.Paths{Cert: o.CertFile, Key: o.KeyFile, ClientCA: o.ClientCAFile, RootCA: o.RootCAFile}, logger)
	if err != nil {
		return nil, fmt.Errorf("client: TLS: %w", err)
	}
	return &clientTLS{options: o, files: files}, nil
}

// config is that of a connection to a host.
func (t *clientTLS) config(host string, c *tlsfiles.Credentials) *tls.Config {
	config := tlsfiles.Config(t.options.AllowTLS12)
	config.ServerName = cmp.Or(t.options.ServerName, host)
	config.RootCAs = c.RootCAs
	if c.Certificate != nil {
		// By hand rather than in Certificates: that one is left out, without
		// a word, when the server's list of authorities does not have its
		// issuer, and the server's refusal would then name the wrong reason.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.Certificate, nil
		}
	}
	return config
}
