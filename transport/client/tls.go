package client

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/tlsfiles"
)

// TLSOptions configure the encryption of connections, and how each side verifies the
// other. Servers and clients use the same struct, so that a member whose certificate is
// for both needs one. The zero value means no TLS for a server, and for a client TLS
// 1.3 with the system's root certificates.
//
// Files are PEM, at most 1 MiB each, and read again when their contents change: they
// are checked while connections are made, at most once a second. When new files cannot
// be used, for example because a certificate does not match its key, this is logged and
// the old contents stay in use.
type TLSOptions struct {
	// CertFile is the own certificate, followed by its intermediates, and KeyFile its
	// private key. A server shows the certificate, and a client shows it to a server
	// that asks. Set both or none.
	CertFile, KeyFile string
	// ClientCAFile holds the certificates of the authorities that may sign the
	// certificates of clients. With it a server refuses clients without such a
	// certificate in the TLS handshake. Clients ignore it.
	ClientCAFile string
	// RootCAFile holds the certificates of the authorities whose signature a
	// client trusts on a server's certificate, in place of the system's; servers
	// ignore it.
	RootCAFile string
	// ServerName is the name that a client expects in the server's certificate, in
	// place of the host of the URL. It is for members whose certificates do not list
	// the address in the URL. Servers ignore it.
	ServerName string
	// AllowTLS12 also accepts TLS 1.2, with ciphers that keep past traffic secret when
	// a key is stolen later. False means TLS 1.3 only.
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

// config returns the configuration of a connection to a host.
func (t *clientTLS) config(host string, c *tlsfiles.Credentials) *tls.Config {
	config := tlsfiles.Config(t.options.AllowTLS12)
	// The zone of an IPv6 address has a meaning on this host alone, so no certificate names it.
	host, _, _ = strings.Cut(host, "%")
	config.ServerName = cmp.Or(t.options.ServerName, host)
	config.RootCAs = c.RootCAs
	if c.Certificate != nil {
		// The certificate is given here and not in Certificates. From there it would be
		// left out silently when the server's list of authorities lacks its issuer, and
		// the refusal of the server would name the wrong reason.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.Certificate, nil
		}
	}
	return config
}
