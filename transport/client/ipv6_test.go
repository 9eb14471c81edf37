package client_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// zoned returns the address ::1 with the zone of the loopback interface and a port of a server that listens there.
// It skips the test where there is none.
func zoned(t *testing.T, o transport.ServerOptions) string {
	t.Helper()
	interfaces, err := net.Interfaces()
	require.NoError(t, err)
	o.Logger = testkit.Quiet()
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback == 0 {
			continue
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("::1%"+i.Name, "0"))
		if err != nil {
			continue
		}
		srv, err := transport.Serve(l, testkit.NewHandler(testkit.NewCluster(t)), o)
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), testkit.Soon)
			defer cancel()
			require.NoError(t, srv.Shutdown(ctx))
		})
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		addr := net.JoinHostPort("::1%"+i.Name, port)
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			continue
		}
		require.NoError(t, conn.Close())
		return addr
	}
	t.Skip("no loopback interface takes ::1 with a zone")
	return ""
}

// TestAZoneIsForThisHostAlone: no certificate names the zone of an address, and a URL may name it as the address does.
func TestAZoneIsForThisHostAlone(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	addr := zoned(t, transport.ServerOptions{TLS: ca.Issue("member", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv6loopback} })})
	for _, text := range []string{(&url.URL{Scheme: "https", Host: addr}).String(), "https://" + addr} {
		c, err := client.New(client.Options{URLs: []string{text}, Retries: 1, PoolOptions: client.PoolOptions{TLS: client.TLSOptions{RootCAFile: ca.File}, Logger: testkit.Quiet()}})
		require.NoError(t, err)
		_, err = c.Ring(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	bare := zoned(t, transport.ServerOptions{})
	for _, text := range []string{(&url.URL{Scheme: "http", Host: bare}).String(), "http://" + bare + "/"} {
		c := testkit.NewClient(t, client.Options{URLs: []string{text}, PoolOptions: client.PoolOptions{Token: testkit.Token(testkit.ReadToken)}})
		_, err := c.Ring(t.Context())
		require.NoError(t, err)
	}
}

// TestTheEndOfAHostIsNoZone: only an address in brackets has one.
func TestTheEndOfAHostIsNoZone(t *testing.T) {
	for _, text := range []string{"https://h%eth0:1", "https://[fe80::1", "https://[fe80::1%]:1", "https://[fe80::1%eth0", "https://[%zz]/%zz", "https://[fe80::1%25eth0]:1/%zz"} {
		_, err := client.New(client.Options{URLs: []string{text}})
		require.ErrorContains(t, err, "must be http://host:port", text)
	}
}
