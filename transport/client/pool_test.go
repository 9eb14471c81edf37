package client_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestPoolOptions(t *testing.T) {
	testkit.NewPool(t, client.PoolOptions{})
	bad := client.PoolOptions{
		TLS: client.TLSOptions{KeyFile: "k"}, DialTimeout: -1, HandshakeTimeout: time.Microsecond, IdleTimeout: 25 * time.Hour, KeepAlive: -1,
		MaxConnsPerHost: -1, MaxIdleConnsPerHost: 1 << 17, MaxIdleConns: 1 << 21, MaxResponseHeaderBytes: 1,
	}
	const want = `client: options of the pool: TLS.CertFile is "": must be set when KeyFile is: a key needs its certificate
DialTimeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
HandshakeTimeout is 1µs: must be between 1ms and 24h0m0s, or zero for the default
IdleTimeout is 25h0m0s: must be between 1ms and 24h0m0s, or zero for the default
KeepAlive is -1ns: must be between 1ms and 24h0m0s, or zero for the default
MaxConnsPerHost is -1: must be between 1 and 65536, or zero for the default
MaxIdleConnsPerHost is 131072: must be between 1 and 65536, or zero for the default
MaxIdleConns is 2097152: must be between 1 and 1048576, or zero for the default
MaxResponseHeaderBytes is 1: must be between 1024 and 16777216, or zero for the default`
	_, err := client.NewPool(bad)
	require.EqualError(t, err, want)
	_, err = client.NewPool(client.PoolOptions{TLS: client.TLSOptions{RootCAFile: "/nowhere.pem"}})
	require.EqualError(t, err, "client: TLS: open /nowhere.pem: no such file or directory")
}

func TestAClosedPoolRefuses(t *testing.T) {
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	p := testkit.NewPool(t, client.PoolOptions{})
	url := "http://" + srv.Addr().String() + "/livez"
	_, body, err := testkit.Ask(t, p, url)
	require.NoError(t, err)
	require.Equal(t, "ok\n", body)
	p.CloseIdleConnections()
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = p.RoundTrip(r) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, client.ErrClosed)
}

// TestServersRefuseClients in the TLS handshake: the client gets no status, but an
// alert that says why. Other clients are served meanwhile.
func TestServersRefuseClients(t *testing.T) {
	ours, theirs := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "theirs")
	o := ours.Issue("server")
	o.ClientCAFile = ours.File
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{TLS: o})
	good := ours.Issue("client")
	good.RootCAFile = ours.File
	neighbour := testkit.NewPool(t, client.PoolOptions{TLS: good})
	url := "https://" + srv.Addr().String() + "/livez"
	for _, test := range []struct {
		name   string
		client client.TLSOptions
		alert  string
	}{
		{"no certificate", client.TLSOptions{}, "tls: certificate required"},
		{"an expired one", ours.Issue("late", pki.Expired), "tls: expired certificate"},
		{"one of another authority", theirs.Issue("stranger"), "tls: unknown certificate authority"},
		{"one for servers alone", ours.Issue("server-only", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "tls: bad certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := &tls.Config{InsecureSkipVerify: true}
			if test.client.CertFile != "" {
				pair, err := tls.LoadX509KeyPair(test.client.CertFile, test.client.KeyFile)
				require.NoError(t, err)
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			conn := tls.Client(testkit.Dial(t, srv), config)
			_, err := conn.Read(make([]byte, 1)) // with TLS 1.3 the client learns of it with the first read
			require.EqualError(t, err, "remote error: "+test.alert)

			test.client.RootCAFile = ours.File
			_, _, err = testkit.Ask(t, testkit.NewPool(t, client.PoolOptions{TLS: test.client}), url)
			require.Error(t, err)
			_, body, err := testkit.Ask(t, neighbour, url)
			require.NoError(t, err)
			require.Equal(t, "ok\n", body)
		})
	}
}

func TestClientsRefuseServers(t *testing.T) {
	ours, theirs := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "theirs")
	good, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{TLS: ours.Issue("server")})
	late, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{TLS: ours.Issue("late", pki.Expired)})
	plain, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	for _, test := range []struct {
		name   string
		server *transport.Server
		tls    client.TLSOptions
		want   string // nothing: the client accepts it
	}{
		{"as it should be", good, client.TLSOptions{RootCAFile: ours.File}, ""},
		{"by its name", good, client.TLSOptions{RootCAFile: ours.File, ServerName: "localhost"}, ""},
		{"of another name", good, client.TLSOptions{RootCAFile: ours.File, ServerName: "orders"}, "x509: certificate is valid for localhost, not orders"},
		{"of another authority", good, client.TLSOptions{RootCAFile: theirs.File}, "x509: certificate signed by unknown authority"},
		{"unknown to the system", good, client.TLSOptions{}, "x509: certificate signed by unknown authority"},
		{"expired", late, client.TLSOptions{RootCAFile: ours.File}, "x509: certificate has expired"},
		{"in clear", plain, client.TLSOptions{RootCAFile: ours.File}, "tls: first record does not look like a TLS handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, body, err := testkit.Ask(t, testkit.NewPool(t, client.PoolOptions{TLS: test.tls}), "https://"+test.server.Addr().String()+"/livez")
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, "ok\n", body)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
	answer, _, err := testkit.Ask(t, testkit.NewPool(t, client.PoolOptions{}), "http://"+good.Addr().String()+"/livez")
	require.NoError(t, err)
	require.Equal(t, 400, answer.Status, "clear text to a server with TLS")
}

func TestVersionsOfTLS(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	for _, allow := range []bool{false, true} {
		o := ca.Issue("server")
		o.AllowTLS12 = allow
		srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{TLS: o})
		for version, works := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: allow, tls.VersionTLS13: true} {
			dialer := &net.Dialer{Timeout: testkit.Soon}
			conn, err := tls.DialWithDialer(dialer, "tcp", srv.Addr().String(), &tls.Config{
				InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version,
			})
			if !works {
				require.ErrorContains(t, err, "protocol version not supported", "%x", version)
				continue
			}
			require.NoError(t, err, "%x", version)
			require.NoError(t, conn.Close())
		}
	}
}

// TestCertificatesAreReloaded replaces the certificates of both sides and the
// authority, while requests are sent.
func TestCertificatesAreReloaded(t *testing.T) {
	older, newer := testkit.NewAuthority(t, "older"), testkit.NewAuthority(t, "newer")
	server := older.Issue("server")
	server.ClientCAFile = older.File
	caller := older.Issue("client")
	caller.RootCAFile = older.File
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Issuer.CommonName)
	})
	srv, _ := testkit.Serve(t, h, transport.ServerOptions{TLS: server})
	p := testkit.NewPool(t, client.PoolOptions{TLS: caller})
	url := "https://" + srv.Addr().String()
	issuers := func() string {
		answer, body, err := testkit.Ask(t, p, url)
		require.NoError(t, err)
		return answer.TLS.PeerCertificates[0].Issuer.CommonName + " " + body
	}
	become := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return issuers() == want }, testkit.Soon, 20*time.Millisecond, want)
	}
	require.Equal(t, "older older", issuers())

	both := append(testkit.Read(t, older.File), testkit.Read(t, newer.File)...)
	pki.Replace(t, older.File, both) // both sides accept both authorities
	reissue := func(o client.TLSOptions, name string) {
		fresh := newer.Issue(name)
		pki.Replace(t, o.CertFile, testkit.Read(t, fresh.CertFile)) // for a moment the key does not match the certificate
		require.NotEmpty(t, issuers())
		pki.Replace(t, o.KeyFile, testkit.Read(t, fresh.KeyFile))
	}
	reissue(caller, "client")
	become("older newer")
	reissue(server, "server")
	p.CloseIdleConnections() // an open connection keeps its certificate
	require.Eventually(t, func() bool {
		p.CloseIdleConnections()
		return issuers() == "newer newer"
	}, testkit.Soon, 20*time.Millisecond)
	pki.Replace(t, older.File, testkit.Read(t, newer.File))
	become("newer newer")
	stranger := older.Issue("stranger")
	stranger.RootCAFile = newer.File
	require.Eventually(t, func() bool {
		_, _, err := testkit.Ask(t, testkit.NewPool(t, client.PoolOptions{TLS: stranger}), url)
		return err != nil && strings.Contains(err.Error(), "unknown certificate authority")
	}, testkit.Soon, 20*time.Millisecond, "the older authority counts no more")
}

// TestTheZoneOfAnAddress is no part of the name that a certificate must have.
func TestTheZoneOfAnAddress(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this host has no IPv6: ", err)
	}
	ca := testkit.NewAuthority(t, "authority")
	own := ca.Issue("member", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv6loopback} })
	own.RootCAFile = ca.File
	config, err := transport.ServerTLS(own, testkit.Quiet())
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	require.NoError(t, server.Listener.Close())
	server.Listener, server.TLS = l, config
	server.StartTLS()
	defer server.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	links, err := net.Interfaces()
	require.NoError(t, err)
	at := slices.IndexFunc(links, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	require.GreaterOrEqual(t, at, 0)
	pool := testkit.NewPool(t, client.PoolOptions{TLS: own})
	members := http.Client{Transport: pool}
	response, err := members.Get("https://[::1%25" + links[at].Name + "]:" + port)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}
