package transport_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestServerStatsCountConnections(t *testing.T) {
	t.Parallel()
	server, err := transport.Listen("127.0.0.1:0", http.NotFoundHandler(), transport.ServerOptions{MaxConnections: 7, MaxConnectionsPerClient: 7, Logger: testkit.Quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Shutdown(context.Background())) })
	require.Equal(t, transport.ServerStats{MaxConnections: 7}, server.Stats())
	var open []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", server.Addr().String())
		require.NoError(t, err)
		open = append(open, conn)
	}
	require.Eventually(t, func() bool { return server.Stats().Connections == 3 }, time.Minute, time.Millisecond)
	for _, conn := range open {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return server.Stats().Connections == 0 }, time.Minute, time.Millisecond)
}

// The certificate that expires first counts, and the figures follow the files without any request.
func TestServerStatsFollowTheCertificate(t *testing.T) {
	t.Parallel()
	authority := pki.New(t, "authority")
	files := client.TLSOptions{CertFile: authority.Path("tls.pem"), KeyFile: authority.Path("tls.key")}
	until := func(end time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = end }
	}
	synctest.Test(t, func(t *testing.T) {
		first, second := time.Now().Add(time.Hour).Truncate(time.Second).UTC(), time.Now().Add(2*time.Hour).Truncate(time.Second).UTC()
		authority.Issue("n1", files.CertFile, files.KeyFile, until(first))
		server, err := transport.Serve(newIdleListener(), http.NotFoundHandler(), transport.ServerOptions{TLS: files, Logger: testkit.Quiet()})
		require.NoError(t, err)
		require.Equal(t, first, server.Stats().CertificateExpires)
		pki.Replace(t, files.KeyFile, []byte("no key"))
		require.Zero(t, server.Stats().ReloadFailures, "files are checked once a second")
		time.Sleep(2 * time.Second) // virtual time
		require.EqualValues(t, 1, server.Stats().ReloadFailures)
		require.Equal(t, first, server.Stats().CertificateExpires, "the earlier contents stay in use")
		authority.Issue("n1", files.CertFile, files.KeyFile, until(second))
		time.Sleep(2 * time.Second)
		require.Equal(t, second, server.Stats().CertificateExpires)
		require.EqualValues(t, 1, server.Stats().ReloadFailures)
		require.NoError(t, server.Shutdown(t.Context()))
	})
}

func TestGuardCountsFailedReloads(t *testing.T) {
	t.Parallel()
	authority := pki.New(t, "authority")
	file := authority.Path("tokens")
	pki.Replace(t, file, []byte("read 0123456789abcdef0123456789abcdef\n"))
	synctest.Test(t, func(t *testing.T) {
		guard, err := transport.NewGuard(transport.GuardOptions{TokenFile: file, Logger: testkit.Quiet()})
		require.NoError(t, err)
		require.Zero(t, guard.Counts())
		pki.Replace(t, file, nil)
		time.Sleep(2 * time.Second) // virtual time
		require.Equal(t, transport.GuardCounts{ReloadFailures: 1}, guard.Counts())
	})
}

// idleListener never accepts a connection.
type idleListener struct{ closed chan struct{} }

func newIdleListener() *idleListener { return &idleListener{make(chan struct{})} }

func (l *idleListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l *idleListener) Close() error {
	close(l.closed)
	return nil
}

func (l *idleListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
