// Package tlsfiles reads the files that TLS needs, for clients and servers, and reads them
// again when they change. Clients and servers use the contents each in their own way.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Paths are the paths of the files. An empty path stands for no file.
type Paths struct{ Cert, Key, ClientCA, RootCA string }

// Credentials are the parsed contents of the files.
type Credentials struct {
	Certificate *tls.Certificate // nil if the path of Cert is empty
	Expires     time.Time        // the first end of a certificate in Certificate; zero without one
	ClientCAs   *x509.CertPool   // nil if the path of ClientCA is empty
	RootCAs     *x509.CertPool   // nil if the path of RootCA is empty
}

// Watch reads the files, and reads them again when they change.
func Watch(p Paths, logger *slog.Logger) (*reload.Value[Credentials], error) {
	paths := []string{p.Cert, p.Key, p.ClientCA, p.RootCA}
	return reload.Watch(paths, logger, func(contents [][]byte) (c Credentials, err error) {
		if p.Cert != "" {
			pair, err := tls.X509KeyPair(contents[0], contents[1])
			if err != nil {
				return c, fmt.Errorf("certificate %q with key %q: %w", p.Cert, p.Key, err)
			}
			c.Certificate = &pair
			if c.Expires, err = expiry(pair); err != nil {
				return c, fmt.Errorf("certificate %q: %w", p.Cert, err)
			}
		}
		if c.ClientCAs, err = parsePool(p.ClientCA, contents[2]); err != nil {
			return c, err
		}
		c.RootCAs, err = parsePool(p.RootCA, contents[3])
		return c, err
	})
}

// expiry returns when the first certificate of a chain expires.
func expiry(pair tls.Certificate) (first time.Time, err error) {
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return first, err
		}
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	return first, nil
}

// parsePool returns an error for a block that x509.CertPool would skip: with half of a
// bundle, half of the other processes would be refused.
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
			return nil, fmt.Errorf("file %q holds a %s: must hold certificates only", path, wire.Cut(block.Type))
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

// Config returns the part of the configuration that is the same for clients and
// servers.
func Config(allowTLS12 bool) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		// A resumed session could last longer than the certificate with which it was
		// made. Connections are few and long, so resuming would save little.
		SessionTicketsDisabled: true,
	}
	if allowTLS12 {
		config.MinVersion = tls.VersionTLS12
	}
	return config
}
