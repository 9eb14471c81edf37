package testkit

import (
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport/client"
)

// Authority signs certificates, and writes them to files for TLSOptions.
type Authority struct{ *pki.Authority }

// NewAuthority makes an authority, whose files are deleted after the test.
func NewAuthority(t *testing.T, name string) *Authority {
	t.Helper()
	return &Authority{pki.New(t, name)}
}

// Issue writes a certificate for 127.0.0.1, and returns its files.
func (a *Authority) Issue(name string, edits ...func(*x509.Certificate)) client.TLSOptions {
	o := client.TLSOptions{CertFile: a.Path(name + ".pem"), KeyFile: a.Path(name + ".key")}
	a.Authority.Issue(name, o.CertFile, o.KeyFile, edits...)
	return o
}

// Read reads a file.
func Read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}
