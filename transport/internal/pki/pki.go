package transport_test

import (
	"crypto/x509"
	"testing"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
)

// authority signs certificates for tests, and writes them where TLSOptions can
// point at.
type authority struct {
	*pki.Authority
	file string // with its own certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := pki.New(t, name)
	return &authority{a, a.File}
}

// issue writes a certificate for 127.0.0.1, and returns where.
func (a *authority) issue(name string, edits ...func(*x509.Certificate)) transport.TLSOptions {
	o := transport.TLSOptions{CertFile: a.Path(name + ".pem"), KeyFile: a.Path(name + ".key")}
	a.Issue(name, o.CertFile, o.KeyFile, edits...)
	return o
}
