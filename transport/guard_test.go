package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestTokens compares each refusal with its exact document.
func TestTokens(t *testing.T) {
	h, g := testkit.Guarded(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	const urn = "urn:clusterkit:problem:"
	unauthorized := func(detail string) *api.Refusal {
		return &api.Refusal{Type: urn + "invalid-token", Title: "Invalid token", Status: 401, Detail: detail}
	}
	forbidden := func(has, needs string) *api.Refusal {
		return &api.Refusal{Type: urn + "insufficient-scope", Title: "Insufficient scope", Status: 403,
			Detail: fmt.Sprintf("the token's scope is %s: %s is needed", has, needs)}
	}
	const none = `the request carries no token: send it in the header "Authorization: Bearer …"`
	const bearer = `Bearer realm="clusterkit"`
	for _, test := range []struct {
		method, target, body, authorization string
		status                              int
		want                                *api.Refusal
		challenge                           string
	}{
		{"GET", "/livez", "", "", 200, nil, ""},
		{"GET", "/readyz?verbose", "", "", 200, nil, ""},
		{"HEAD", "/livez", "", "Bearer wrong", 200, nil, ""},
		{"POST", "/livez", "", "", 401, unauthorized(none), bearer},
		{"GET", "/livez/", "", "", 401, unauthorized(none), bearer},
		{"GET", "//livez", "", "", 401, unauthorized(none), bearer},
		{"GET", "/v1/../livez", "", "", 401, unauthorized(none), bearer},
		{"GET", "/v1/ring", "", "", 401, unauthorized(none), bearer},
		{"GET", "/nothing", "", "", 401, unauthorized(none), bearer},
		{"POST", "/v1/plan", "{}", "", 401, unauthorized(none), bearer},
		{"GET", "/v1/ring", "", "Basic " + testkit.ReadToken, 401, unauthorized("the header Authorization holds no bearer token"), bearer},
		{"GET", "/v1/ring", "", "Bearer", 401, unauthorized("the header Authorization holds no bearer token"), bearer},
		{"GET", "/v1/ring", "", "Bearer " + testkit.ReadToken + "x", 401, unauthorized("the token is not valid here"), bearer + `, error="invalid_token"`},
		{"GET", "/v1/ring", "", "Bearer " + strings.Repeat("x", 9000), 401, unauthorized("the token is not valid here"), bearer + `, error="invalid_token"`},
		{"GET", "/v1/ring?access_token=" + testkit.ReadToken, "", "", 401, unauthorized(none), bearer},
		{"GET", "/v1/ring", "", "Bearer " + testkit.WriteToken, 403, forbidden("write", "read"), bearer + `, error="insufficient_scope", scope="read"`},
		{"DELETE", "/v1/ring", "", "Bearer " + testkit.ReadToken, 403, forbidden("read", "write"), bearer + `, error="insufficient_scope", scope="write"`},
		{"POST", "/nothing", "{}", "Bearer " + testkit.ReadToken, 403, forbidden("read", "write"), bearer + `, error="insufficient_scope", scope="write"`},
		{"GET", "/v1/ring", "", "Bearer " + testkit.ReadToken, 200, nil, ""},
		{"GET", "/v1/ring", "", "bearer  " + testkit.ReadToken, 200, nil, ""},
		{"OPTIONS", "/v1/ring", "", "Bearer " + testkit.ReadToken, 405, nil, ""},
		{"POST", "/v1/lookup", `{"keys":["a"]}`, "Bearer " + testkit.ReadToken, 200, nil, ""},
		{"POST", "/v1/plan", `{}`, "Bearer " + testkit.ReadToken, 200, nil, ""},
		{"POST", "/v1/plan", `{}`, "Bearer " + testkit.WriteToken, 403, forbidden("write", "read"), bearer + `, error="insufficient_scope", scope="read"`},
		{"DELETE", "/v1/ring", "", "Bearer " + testkit.WriteToken, 405, nil, ""},
		{"GET", "/v1/ring", "", "Bearer " + testkit.BothToken, 200, nil, ""},
		{"DELETE", "/v1/ring", "", "Bearer " + testkit.BothToken, 405, nil, ""},
	} {
		name := test.method + " " + test.target + " " + cutName(test.authorization)
		var headers []string
		if test.authorization != "" {
			headers = []string{"Authorization: " + test.authorization}
		}
		w := call(h, test.method, test.target, test.body, headers...)
		require.Equal(t, test.status, w.Code, name)
		require.Equal(t, test.challenge, w.Header().Get("WWW-Authenticate"), name)
		if test.want != nil {
			requireProblem(t, *test.want, w, name)
		}
		require.NotContains(t, w.Body.String(), "0123456789abcdef")
	}
	require.Equal(t, transport.GuardCounts{Unauthorized: 12, Forbidden: 4}, g.Counts())

	r := httptest.NewRequest(http.MethodGet, "/v1/ring", nil)
	r.Header["Authorization"] = []string{"Bearer " + testkit.ReadToken, "Bearer " + testkit.ReadToken}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	requireProblem(t, *unauthorized("the header Authorization is given 2 times: give it once"), w, "")
}

// TestTokenFile: tokens are added and removed while the handler serves. When the file
// cannot be used, the earlier tokens stay valid.
func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	pki.Replace(t, file, []byte("# made by hand\n\nread "+testkit.ReadToken+"\n"))
	synctest.Test(t, func(t *testing.T) {
		h, _ := testkit.Guarded(t, transport.GuardOptions{TokenFile: file, Tokens: testkit.Tokens()[2:]})
		statuses := func(want ...int) {
			t.Helper()
			var got []int
			for _, token := range []string{testkit.ReadToken, testkit.WriteToken, testkit.BothToken} {
				got = append(got, call(h, "DELETE", "/v1/ring", "", "Authorization: Bearer "+token).Code)
			}
			require.Equal(t, want, got)
		}
		statuses(403, 401, 405)
		pki.Replace(t, file, []byte("read "+testkit.ReadToken+"\nread,write\t"+testkit.WriteToken+"\r\n"))
		statuses(403, 401, 405) // the file is not read again yet
		time.Sleep(time.Second)
		statuses(403, 405, 405)
		for _, broken := range []string{"", "# nothing\n", "read short\n", "admin " + testkit.ReadToken + "\n", testkit.ReadToken + "\n", "read " + testkit.ReadToken + " x\n"} {
			pki.Replace(t, file, []byte(broken))
			time.Sleep(time.Second)
			statuses(403, 405, 405)
		}
		pki.Replace(t, file, []byte("write "+testkit.WriteToken))
		time.Sleep(time.Second)
		statuses(401, 405, 405)
	})
}

func TestTokenFilesThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	for content, want := range map[string]string{
		"":                          "holds no token",
		testkit.ReadToken:           ", line 1: has 1 words: must be a scope and a token",
		"\nread short-0123":         ", line 2: its token must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone",
		"read 0123456789abcdef\\":   ", line 1: its token must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone",
		testkit.ReadToken + " read": ", line 1: its scope must be read, write or read,write",
		"read " + testkit.ReadToken + "\nwrite " + testkit.ReadToken: ", line 2: the token is listed twice",
		strings.Repeat("#", 1<<20+1):                                 "is longer than 1048576 bytes",
	} {
		pki.Replace(t, file, []byte(content))
		_, err := transport.NewGuard(transport.GuardOptions{TokenFile: file})
		require.ErrorContains(t, err, "transport: tokens: file "+fmt.Sprintf("%q", file), content[:min(len(content), 60)])
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "0123")
	}
	var many strings.Builder
	for i := range 101 {
		fmt.Fprintf(&many, "read %s%d\n", testkit.ReadToken, i)
	}
	pki.Replace(t, file, []byte(many.String()))
	_, err := transport.NewGuard(transport.GuardOptions{TokenFile: file})
	require.ErrorContains(t, err, ", line 101: the token is one too many: at most 100")
}

func TestGuardOptions(t *testing.T) {
	require.NoError(t, transport.GuardOptions{}.Validate())
	require.NoError(t, transport.GuardOptions{
		Tokens: testkit.Tokens(), PerClient: transport.RateLimit{PerSecond: 0.01}, Overall: transport.RateLimit{PerSecond: 1e6, Burst: 1e6},
		MaxClients: 1 << 20, TrustedProxies: []string{"10.0.0.0/8", "::1/128"}, TrustedOrigins: []string{"https://admin.example.org"},
	}.Validate())
	bad := transport.GuardOptions{
		Tokens: []transport.Credential{
			{Token: testkit.Token(testkit.ReadToken)}, {Token: testkit.Token(testkit.ReadToken)}, {},
			{Token: testkit.Token("a secret with blanks"), Write: true},
		},
		PerClient: transport.RateLimit{PerSecond: -1}, Overall: transport.RateLimit{Burst: -1}, MaxClients: -1,
		TrustedProxies: []string{"10.0.0.1", "10.0.0.1/8", "0.0.0.0/0", "proxy", "::ffff:10.0.0.0/104"},
		TrustedOrigins: []string{"example.org"},
	}
	const prefix = `must be an address with the length of its prefix, 1 or more, such as 10.1.0.0/16 or 10.1.2.3/32`
	const token = `must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone`
	const want = `Tokens[1].Token is "a token": must be a token that is not listed twice, in a list of at most 100
Tokens[2].Token is "a text of 0 bytes": ` + token + `
Tokens[3].Token is "a text of 20 bytes": ` + token + `
PerClient.PerSecond is -1: must be between 0.01 and 1000000, or the whole limit zero for none
Overall.PerSecond is 0: must be between 0.01 and 1000000, or the whole limit zero for none
Overall.Burst is -1: must be between 1 and 1000000, or zero for PerSecond
MaxClients is -1: must be between 1 and 1048576, or zero for the default
TrustedProxies[0] is "10.0.0.1": ` + prefix + `
TrustedProxies[1] is "10.0.0.1/8": ` + prefix + `
TrustedProxies[2] is "0.0.0.0/0": ` + prefix + `
TrustedProxies[3] is "proxy": ` + prefix + `
TrustedProxies[4] is "::ffff:10.0.0.0/104": ` + prefix + `
TrustedOrigins[0] is "example.org": must be an origin, scheme://host or scheme://host:port`
	_, err := transport.NewGuard(bad)
	require.EqualError(t, err, "transport: options of the guard: "+want)
}

func TestCrossOrigin(t *testing.T) {
	h, g := testkit.Guarded(t, transport.GuardOptions{TrustedOrigins: []string{"https://admin.example.org"}})
	post := func(headers ...string) *httptest.ResponseRecorder {
		return call(h, "POST", "/v1/plan", `{}`, headers...)
	}
	require.Equal(t, 200, post().Code, "no browser")
	require.Equal(t, 200, post("Sec-Fetch-Site: same-origin").Code)
	require.Equal(t, 200, post("Origin: http://example.com").Code, "the host of the request")
	require.Equal(t, 200, post("Sec-Fetch-Site: cross-site", "Origin: https://admin.example.org").Code)
	require.Equal(t, 200, call(h, "GET", "/v1/ring", "", "Sec-Fetch-Site: cross-site").Code, "a read; the browser keeps the answer from the page")
	for _, headers := range [][]string{{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"}} {
		requireProblem(t, api.Refusal{
			Type: "urn:clusterkit:problem:cross-origin", Title: "Cross-origin request", Status: 403,
			Detail: "a page of another origin sent the request, and its origin is not trusted",
		}, post(headers...), headers[0])
	}
	require.Equal(t, transport.GuardCounts{CrossOrigin: 4}, g.Counts())
}

// TestACertificateThatExpiresUnderway: the certificate is valid at the handshake, and
// has expired at the request.
func TestACertificateThatExpiresUnderway(t *testing.T) {
	h, g := testkit.Guarded(t, transport.GuardOptions{})
	ask := func(end time.Time) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/v1/ring", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: end}}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, 200, ask(time.Now().Add(time.Hour)).Code)
	w := ask(time.Now().Add(-time.Second))
	require.Equal(t, "close", w.Header().Get("Connection"))
	requireProblem(t, api.Refusal{
		Type: "urn:clusterkit:problem:expired-certificate", Title: "Expired certificate", Status: 403,
		Detail: "the client's certificate has expired since the connection was made: connect anew with a valid one",
	}, w, "")
	require.Equal(t, uint64(1), g.Counts().Forbidden)
}
