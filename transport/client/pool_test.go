package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
)

func newPool(t *testing.T, o transport.PoolOptions) *transport.Pool {
	t.Helper()
	o.Logger = quiet()
	p, err := transport.NewPool(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// heard is what an answer says beside its body.
type heard struct {
	status int
	tls    *tls.ConnectionState
}

// ask sends a GET through a pool.
func ask(t *testing.T, p http.RoundTripper, url string) (heard, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer, err := p.RoundTrip(r)
	if err != nil {
		return heard{}, "", err
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return heard{answer.StatusCode, answer.TLS}, string(body), nil
}

// TestAThousandRequestsUseFewConnections counts them on both sides: over HTTP/1.1
// as many as allowed, over HTTP/2 hardly any.
func TestAThousandRequestsUseFewConnections(t *testing.T) {
	ca := newAuthority(t, "authority")
	own := ca.issue("member")
	for _, test := range []struct {
		name, scheme string
		tls          transport.TLSOptions
		proto        string
		most         int64
	}{
		{"clear", "http", transport.TLSOptions{}, "HTTP/1.1", 8},
		{"TLS", "https", own, "HTTP/2.0", 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			var conns sync.Map
			var count, crowd, peak atomic.Int64
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, known := conns.LoadOrStore(r.RemoteAddr, true); !known {
					count.Add(1)
				}
				for now := crowd.Add(1); ; {
					if before := peak.Load(); now <= before || peak.CompareAndSwap(before, now) {
						break
					}
				}
				_, _ = io.WriteString(w, r.Proto)
				crowd.Add(-1)
			})
			srv, _ := serve(t, h, transport.ServerOptions{TLS: test.tls})
			p := newPool(t, transport.PoolOptions{MaxConnsPerHost: 8, TLS: transport.TLSOptions{RootCAFile: ca.file}})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					for range 10 {
						r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, test.scheme+"://"+srv.Addr().String(), nil)
						answer, err := p.RoundTrip(r)
						if err != nil {
							t.Error(err)
							return
						}
						body, err := io.ReadAll(answer.Body)
						if err != nil || string(body) != test.proto || answer.Body.Close() != nil {
							t.Error(string(body), err)
						}
					}
				})
			}
			wg.Wait()
			t.Log("1000 requests,", count.Load(), "connections, at most", peak.Load(), "requests at a time")
			require.LessOrEqual(t, count.Load(), test.most)
			require.Positive(t, count.Load())
		})
	}
}

func TestPoolOptions(t *testing.T) {
	require.NoError(t, transport.PoolOptions{}.Validate())
	bad := transport.PoolOptions{
		TLS: transport.TLSOptions{KeyFile: "k"}, DialTimeout: -1, HandshakeTimeout: time.Microsecond, IdleTimeout: 25 * time.Hour, KeepAlive: -1,
		MaxConnsPerHost: -1, MaxIdleConnsPerHost: 1 << 17, MaxIdleConns: 1 << 21, MaxResponseHeaderBytes: 1,
	}
	const want = `transport: PoolOptions.TLS.CertFile is "": must be set when KeyFile is: a key needs its certificate
transport: PoolOptions.DialTimeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: PoolOptions.HandshakeTimeout is 1µs: must be between 1ms and 24h0m0s, or zero for the default
transport: PoolOptions.IdleTimeout is 25h0m0s: must be between 1ms and 24h0m0s, or zero for the default
transport: PoolOptions.KeepAlive is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: PoolOptions.MaxConnsPerHost is -1: must be between 1 and 65536, or zero for the default
transport: PoolOptions.MaxIdleConnsPerHost is 131072: must be between 1 and 65536, or zero for the default
transport: PoolOptions.MaxIdleConns is 2097152: must be between 1 and 1048576, or zero for the default
transport: PoolOptions.MaxResponseHeaderBytes is 1: must be between 1024 and 16777216, or zero for the default`
	_, err := transport.NewPool(bad)
	require.EqualError(t, err, want)
	_, err = transport.NewPool(transport.PoolOptions{TLS: transport.TLSOptions{RootCAFile: "/nowhere.pem"}})
	require.EqualError(t, err, "transport: TLS of the client: open /nowhere.pem: no such file or directory")
}

func TestAClosedPoolRefuses(t *testing.T) {
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	p := newPool(t, transport.PoolOptions{})
	url := "http://" + srv.Addr().String() + "/livez"
	_, body, err := ask(t, p, url)
	require.NoError(t, err)
	require.Equal(t, "ok\n", body)
	p.CloseIdleConnections()
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = p.RoundTrip(r) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, transport.ErrPoolClosed)
}

// TestServersRefuseClients while shaking hands: there is no status, but an alert
// that says why. Others are served all the while.
func TestServersRefuseClients(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	o := ours.issue("server")
	o.ClientCAFile = ours.file
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{TLS: o})
	good := ours.issue("client")
	good.RootCAFile = ours.file
	neighbour := newPool(t, transport.PoolOptions{TLS: good})
	url := "https://" + srv.Addr().String() + "/livez"
	for _, test := range []struct {
		name   string
		client transport.TLSOptions
		alert  string
	}{
		{"no certificate", transport.TLSOptions{}, "tls: certificate required"},
		{"an expired one", ours.issue("late", pki.Expired), "tls: expired certificate"},
		{"one of another authority", theirs.issue("stranger"), "tls: unknown certificate authority"},
		{"one for servers alone", ours.issue("server-only", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "tls: bad certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the server is not what is tested
			if test.client.CertFile != "" {
				pair, err := tls.LoadX509KeyPair(test.client.CertFile, test.client.KeyFile)
				require.NoError(t, err)
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			conn := tls.Client(dial(t, srv), config)
			_, err := conn.Read(make([]byte, 1)) // where TLS 1.3 lets a client know
			require.EqualError(t, err, "remote error: "+test.alert)

			test.client.RootCAFile = ours.file
			_, _, err = ask(t, newPool(t, transport.PoolOptions{TLS: test.client}), url)
			require.Error(t, err)
			_, body, err := ask(t, neighbour, url)
			require.NoError(t, err)
			require.Equal(t, "ok\n", body)
		})
	}
}

func TestClientsRefuseServers(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	good, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{TLS: ours.issue("server")})
	late, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{TLS: ours.issue("late", pki.Expired)})
	plain, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	for _, test := range []struct {
		name   string
		server *transport.Server
		tls    transport.TLSOptions
		want   string // nothing: it works
	}{
		{"as it should be", good, transport.TLSOptions{RootCAFile: ours.file}, ""},
		{"by its name", good, transport.TLSOptions{RootCAFile: ours.file, ServerName: "localhost"}, ""},
		{"of another name", good, transport.TLSOptions{RootCAFile: ours.file, ServerName: "orders"}, "x509: certificate is valid for localhost, not orders"},
		{"of another authority", good, transport.TLSOptions{RootCAFile: theirs.file}, "x509: certificate signed by unknown authority"},
		{"unknown to the system", good, transport.TLSOptions{}, "x509: certificate signed by unknown authority"},
		{"expired", late, transport.TLSOptions{RootCAFile: ours.file}, "x509: certificate has expired"},
		{"in clear", plain, transport.TLSOptions{RootCAFile: ours.file}, "tls: first record does not look like a TLS handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, body, err := ask(t, newPool(t, transport.PoolOptions{TLS: test.tls}), "https://"+test.server.Addr().String()+"/livez")
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, "ok\n", body)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
	answer, _, err := ask(t, newPool(t, transport.PoolOptions{}), "http://"+good.Addr().String()+"/livez")
	require.NoError(t, err)
	require.Equal(t, 400, answer.status, "clear text to a server with TLS")
}

func TestVersionsOfTLS(t *testing.T) {
	ca := newAuthority(t, "authority")
	for _, allow := range []bool{false, true} {
		o := ca.issue("server")
		o.AllowTLS12 = allow
		srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{TLS: o})
		for version, works := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: allow, tls.VersionTLS13: true} {
			dialer := &net.Dialer{Timeout: soon}
			conn, err := tls.DialWithDialer(dialer, "tcp", srv.Addr().String(), &tls.Config{
				InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version, //nolint:gosec // to be refused
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
// authority, while requests go on.
func TestCertificatesAreReloaded(t *testing.T) {
	older, newer := newAuthority(t, "older"), newAuthority(t, "newer")
	server := older.issue("server")
	server.ClientCAFile = older.file
	client := older.issue("client")
	client.RootCAFile = older.file
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Issuer.CommonName)
	})
	srv, _ := serve(t, h, transport.ServerOptions{TLS: server})
	p := newPool(t, transport.PoolOptions{TLS: client})
	url := "https://" + srv.Addr().String()
	issuers := func() string {
		answer, body, err := ask(t, p, url)
		require.NoError(t, err)
		return answer.tls.PeerCertificates[0].Issuer.CommonName + " " + body
	}
	become := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return issuers() == want }, soon, 20*time.Millisecond, want)
	}
	require.Equal(t, "older older", issuers())

	both := append(read(t, older.file), read(t, newer.file)...)
	replace(t, older.file, both) // either authority will do, to both sides
	reissue := func(o transport.TLSOptions, name string) {
		fresh := newer.issue(name)
		replace(t, o.CertFile, read(t, fresh.CertFile)) // for a moment the key is another's
		require.NotEmpty(t, issuers())
		replace(t, o.KeyFile, read(t, fresh.KeyFile))
	}
	reissue(client, "client")
	become("older newer")
	reissue(server, "server")
	p.CloseIdleConnections() // a connection that stands keeps its certificate
	require.Eventually(t, func() bool {
		p.CloseIdleConnections()
		return issuers() == "newer newer"
	}, soon, 20*time.Millisecond)
	replace(t, older.file, read(t, newer.file))
	become("newer newer")
	stranger := older.issue("stranger")
	stranger.RootCAFile = newer.file
	require.Eventually(t, func() bool {
		_, _, err := ask(t, newPool(t, transport.PoolOptions{TLS: stranger}), url)
		return err != nil && strings.Contains(err.Error(), "unknown certificate authority")
	}, soon, 20*time.Millisecond, "the older authority counts no more")
}
