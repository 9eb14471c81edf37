package transport_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// fortress is a server with all limits and a well-behaved client, the neighbour. The
// attacks of other clients must not affect the neighbour.
func fortress(t *testing.T, o transport.ServerOptions) (srv *transport.Server, ca *testkit.Authority, neighbour func()) {
	t.Helper()
	ca = testkit.NewAuthority(t, "authority")
	o.TLS = ca.Issue("member")
	h, _ := testkit.Guarded(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	srv, _ = testkit.Serve(t, h, o)
	c := testkit.NewClient(t, client.Options{
		URLs: []string{"https://" + srv.Addr().String()}, Retries: option.None,
		PoolOptions: client.PoolOptions{Token: testkit.Token(testkit.ReadToken), TLS: client.TLSOptions{RootCAFile: ca.File}},
	})
	return srv, ca, func() {
		t.Helper()
		_, err := c.Lookup(t.Context(), "user:42", client.Near{})
		require.NoError(t, err)
	}
}

// talk opens a TLS connection of HTTP/1.1 and sends a text.
func talk(t *testing.T, srv *transport.Server, ca *testkit.Authority, text string) *tls.Conn {
	t.Helper()
	conn := tls.Client(testkit.Dial(t, srv), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	return conn
}

// TestRawRequests sends requests that no client library would send. Requests that are
// not HTTP are refused by net/http, in plain text.
func TestRawRequests(t *testing.T) {
	srv, ca, neighbour := fortress(t, transport.ServerOptions{})
	const (
		auth = "Host: x\r\nAuthorization: Bearer " + testkit.ReadToken + "\r\n"
		kind = "Content-Type: application/json\r\n"
		post = "POST /v1/lookup HTTP/1.1\r\n" + auth + kind
		urn  = "urn:clusterkit:problem:"
	)
	for _, test := range []struct {
		name, text string
		status     int
		problem    string // the type of the refusal; empty: plain text
	}{
		{"two lengths", post + "Content-Length: 3\r\nContent-Length: 30\r\n\r\n{}x", 400, ""},
		{"a list of lengths", post + "Content-Length: 3, 30\r\n\r\n{}x", 400, ""},
		{"a signed length", post + "Content-Length: +2\r\n\r\n{}", 400, ""},
		{"a negative length", post + "Content-Length: -2\r\n\r\n{}", 400, ""},
		{"a length in hexadecimal", post + "Content-Length: 0x2\r\n\r\n{}", 400, ""},
		{"a blank before the colon", post + "Content-Length : 2\r\n\r\n{}", 400, ""},
		{"an unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n", 501, ""},
		{"two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 501, ""},
		{"a bad chunk", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, urn + "invalid-body"},
		{"a chunk without an end", post + "Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n\r\n0\r\n\r\n", 400, urn + "invalid-body"},
		{"a header in two lines", "GET /v1/ring HTTP/1.1\r\n" + auth + "X-A: 1\r\n folded\r\n\r\n", 200, ""},
		{"two hosts", "GET /v1/ring HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
		{"no host", "GET /v1/ring HTTP/1.1\r\n\r\n", 400, ""},
		{"HTTP/1.2", "GET /v1/ring HTTP/3.1\r\nHost: x\r\n\r\n", 505, ""},
		{"a path that climbs", "GET /v1/partitions/../members HTTP/1.1\r\n" + auth + "\r\n", 404, "about:blank"},
		{"an encoded path that climbs", "GET /v1/partitions/%2e%2e%2fmembers HTTP/1.1\r\n" + auth + "\r\n", 400, urn + "invalid-parameter"},
		{"a probe's path in disguise", "GET /livez/../v1/ring HTTP/1.1\r\nHost: x\r\n\r\n", 401, urn + "invalid-token"},
		{"another disguise", "GET /%6civez%2f..%2fv1/ring HTTP/1.1\r\nHost: x\r\n\r\n", 401, urn + "invalid-token"},
		{"a doubled token", "GET /v1/ring HTTP/1.1\r\n" + auth + "Authorization: Bearer x\r\n\r\n", 401, urn + "invalid-token"},
		{"no token", "GET /v1/ring HTTP/1.1\r\nHost: x\r\n\r\n", 401, urn + "invalid-token"},
		{"a huge body", post + "Content-Length: 1000000000000\r\n\r\n", 413, urn + "body-too-large"},
		{"a huge header", "GET /v1/ring HTTP/1.1\r\n" + auth + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431, ""},
		{"a huge key", "GET /v1/lookup?key=" + strings.Repeat("k", 5000) + " HTTP/1.1\r\n" + auth + "\r\n", 400, urn + "invalid-key"},
		{"an upgrade", "GET /v1/ring HTTP/1.1\r\n" + auth + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 200, ""},
		{"HTTP/2 by surprise", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 401, urn + "invalid-token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := tls.Client(testkit.Dial(t, srv), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"}})
			require.NoError(t, conn.Handshake())
			go func() { _, _ = io.WriteString(conn, test.text) }() // the server may stop reading before
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.NoError(t, r.Body.Close())
			require.Equal(t, test.status, r.StatusCode, "%s", body)
			if test.problem != "" {
				var p api.Refusal
				require.NoError(t, json.Unmarshal(body, &p), "%s", body)
				require.Equal(t, test.problem, p.Type)
				require.Equal(t, test.status, p.Status)
				require.NotEmpty(t, p.Detail)
			}
			neighbour()
		})
	}
}

// TestTheHeaderIsBoundedOverHTTP2: a client that has received the limit does not send a
// longer header. A client that has not gets 431, or its connection is closed, whichever
// net/http does first.
func TestTheHeaderIsBoundedOverHTTP2(t *testing.T) {
	srv, ca, neighbour := fortress(t, transport.ServerOptions{MaxHeaderBytes: 1 << 10})
	url := "https://" + srv.Addr().String() + "/livez"
	for _, warm := range []bool{false, true} {
		p := testkit.NewPool(t, client.PoolOptions{TLS: client.TLSOptions{RootCAFile: ca.File}})
		if warm {
			answer, _, err := testkit.Ask(t, p, url)
			require.NoError(t, err)
			require.Equal(t, "h2", answer.TLS.NegotiatedProtocol)
		}
		answer, _, err := testkit.Ask(t, p, url+"?"+strings.Repeat("x", 20<<10))
		switch {
		case warm:
			require.ErrorContains(t, err, "larger than peer's advertised limit")
		case err == nil:
			require.Equal(t, 431, answer.Status)
		}
		_, body, err := testkit.Ask(t, p, url)
		require.NoError(t, err)
		require.Equal(t, "ok\n", body)
		neighbour()
	}
}

// TestNothingIsSmuggled: when a request gives two lengths of its body, the bytes after
// the body, by either length, are not read as a request.
func TestNothingIsSmuggled(t *testing.T) {
	srv, ca, neighbour := fortress(t, transport.ServerOptions{})
	const smuggled = "GET /v1/members HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + testkit.ReadToken + "\r\n\r\n"
	for _, lengths := range []string{
		"Content-Length: 0\r\nContent-Length: 200\r\n",
		"Content-Length: 200\r\nTransfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
	} {
		conn := talk(t, srv, ca, "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+testkit.ReadToken+"\r\n"+lengths+"\r\n"+smuggled)
		answers, err := io.ReadAll(conn)
		require.NoError(t, err, "closed by the server")
		require.Equal(t, 1, strings.Count(string(answers), "HTTP/1.1 "), "%s", answers)
		require.NotContains(t, string(answers), `"members"`)
		neighbour()
	}
}

// TestSlowClients do not delay other clients at any point: before the handshake, in it, in the
// header, in the body over HTTP/1.1 and over HTTP/2.
func TestSlowClients(t *testing.T) {
	const patience = 200 * time.Millisecond
	srv, ca, neighbour := fortress(t, transport.ServerOptions{ReadHeaderTimeout: patience, ReadTimeout: patience})
	silent, halfHello := testkit.Dial(t, srv), testkit.Dial(t, srv)
	_, err := halfHello.Write([]byte{0x16, 3, 1, 2, 0, 1})
	require.NoError(t, err)
	header := talk(t, srv, ca, "GET /v1/ring HTT")
	body := talk(t, srv, ca, "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+testkit.ReadToken+"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	neighbour()

	p := testkit.NewPool(t, client.PoolOptions{TLS: client.TLSOptions{RootCAFile: ca.File}})
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	r, err := http.NewRequest(http.MethodPost, "https://"+srv.Addr().String()+"/v1/lookup", reader)
	require.NoError(t, err)
	r.Header = http.Header{"Authorization": {"Bearer " + testkit.ReadToken}, "Content-Type": {"application/json"}}
	go func() { _, _ = io.WriteString(writer, "{") }()
	w, err := p.RoundTrip(r)
	require.NoError(t, err)
	requireTimeout(t, w)
	require.Equal(t, 2, w.ProtoMajor)
	neighbour()

	w, err = http.ReadResponse(bufio.NewReader(body), nil)
	require.NoError(t, err)
	requireTimeout(t, w)
	for _, conn := range []io.Reader{silent, halfHello, header} {
		_, err := io.ReadAll(conn)
		require.NoError(t, err, "closed by the server, not by the test's deadline")
	}
	neighbour()
}

func requireTimeout(t *testing.T, w *http.Response) {
	t.Helper()
	text, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	require.NoError(t, w.Body.Close())
	require.Equal(t, 408, w.StatusCode)
	require.JSONEq(t, `{"type":"about:blank","title":"Request Timeout","status":408,"detail":"the body did not arrive in time"}`, string(text))
}
