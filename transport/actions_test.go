package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

const someKey = "00112233445566778899aabbccddeeff"

// admin sends actions to a handler behind a guard.
type admin struct {
	t       *testing.T
	h       *transport.Handler
	cluster *testkit.Cluster
	log     bytes.Buffer
}

func newAdmin(t *testing.T, o transport.GuardOptions) *admin {
	a := &admin{t: t, cluster: testkit.NewCluster(t)}
	a.h = testkit.MakeHandler(a.cluster, transport.HandlerOptions{
		Logger: slog.New(slog.NewTextHandler(&a.log, nil)), Middleware: []func(http.Handler) http.Handler{testkit.NewGuard(t, o).Wrap},
	})
	return a
}

// send sends an action from an address. The edits change the request.
func (a *admin) send(from, path, body, token string, edits ...func(r *http.Request)) *httptest.ResponseRecorder {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.RemoteAddr = from
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, edit := range edits {
		edit(r)
	}
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	require.NoError(a.t, openAPI().checkAnswer(r.Method, r.URL.Path, w.Code, w.Header(), w.Body.Bytes()))
	return w
}

// actions are the routes of actions, each with a body that it accepts.
func actions(t *testing.T) map[string]string {
	all := make(map[string]string)
	for _, op := range operations() {
		if op.acts() {
			all[op.path] = op.body(t)
		}
	}
	require.Len(t, all, 7)
	return all
}

func showing(verified bool) func(r *http.Request) {
	return func(r *http.Request) {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: "ops"}, NotAfter: time.Now().Add(time.Hour)}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
		}
	}
}

// TestWhoMayAct sends every action in every situation. A refused action does not reach
// the cluster, and is not in the log.
func TestWhoMayAct(t *testing.T) {
	tokens := transport.GuardOptions{Tokens: testkit.Tokens(), TokensInClear: true, TrustedProxies: []string{"192.0.2.0/24"}}
	tokens.Tokens[2].Name = "deploys"
	none := func(*http.Request) {}
	encrypted := func(r *http.Request) { r.TLS = new(tls.ConnectionState) }
	forged := func(r *http.Request) {
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Host = "localhost"
	}
	for _, test := range []struct {
		name        string
		guard       transport.GuardOptions
		from, token string
		edit        func(r *http.Request)
		kind        string // of the refusal; empty: admitted
		caller      string
	}{
		{"without a guard's tokens", transport.GuardOptions{}, "127.0.0.1:1", "", none, "actions-off", ""},
		{"with a token that nobody checks", transport.GuardOptions{}, "127.0.0.1:1", testkit.BothToken, none, "actions-off", ""},
		{"with a certificate that nobody checks", transport.GuardOptions{}, "192.0.2.1:1", "", showing(false), "actions-off", ""},
		{"without a token", tokens, "127.0.0.1:1", "", none, "invalid-token", ""},
		{"with an unknown token", tokens, "127.0.0.1:1", "0123456789abcdef0123", none, "invalid-token", ""},
		{"with a token that reads", tokens, "127.0.0.1:1", testkit.ReadToken, none, "insufficient-scope", ""},
		{"with a token that reads, and a certificate", tokens, "127.0.0.1:1", testkit.ReadToken, showing(true), "insufficient-scope", ""},
		{"in clear", tokens, "192.0.2.1:1", testkit.WriteToken, none, "in-clear", ""},
		{"in clear, IPv6", tokens, "[2001:db8::1]:1", testkit.WriteToken, none, "in-clear", ""},
		{"in clear, from no address", tokens, "@", testkit.WriteToken, none, "in-clear", ""},
		{"in clear, with headers of a proxy", tokens, "192.0.2.1:1", testkit.WriteToken, forged, "in-clear", ""},
		{"on loopback", tokens, "127.0.0.1:1", testkit.WriteToken, none, "", "token 2 of the options"},
		{"on loopback, IPv6", tokens, "[::1]:1", testkit.BothToken, none, "", "token deploys"},
		{"on loopback, mapped", tokens, "[::ffff:127.0.0.1]:1", testkit.WriteToken, none, "", "token 2 of the options"},
		{"over TLS", tokens, "192.0.2.1:1", testkit.WriteToken, encrypted, "", "token 2 of the options"},
		{"with both", tokens, "192.0.2.1:1", testkit.WriteToken, showing(true), "", "token 2 of the options, certificate CN=ops"},
		{"with a certificate alone", transport.GuardOptions{}, "192.0.2.1:1", "", showing(true), "", "certificate CN=ops"},
	} {
		a := newAdmin(t, test.guard)
		for path, body := range actions(t) {
			w := a.send(test.from, path, body, test.token, test.edit)
			if test.kind != "" {
				require.Contains(t, w.Body.String(), `"urn:clusterkit:problem:`+test.kind+`"`, "%s %s", test.name, path)
				continue
			}
			require.Equal(t, 200, w.Code, "%s %s: %s", test.name, path, w.Body)
			twice := a.send(test.from, path, body, test.token, test.edit)
			require.Equal(t, w.Body.String(), twice.Body.String(), "%s %s", test.name, path)
		}
		if test.kind != "" {
			require.Zero(t, a.cluster.Acts, test.name)
			require.Empty(t, a.log.String(), test.name)
			continue
		}
		require.Equal(t, 14, a.cluster.Acts, test.name)
		log := a.log.String()
		require.Equal(t, 14, strings.Count(log, `msg="a caller asks for an action"`), log)
		require.Equal(t, 14, strings.Count(log, `msg="the action is done"`), log)
		require.Equal(t, 28, strings.Count(log, `caller="`+test.caller+`" addr=`+test.from)+strings.Count(log, `caller="`+test.caller+`" addr="`+test.from), log)
		for _, secret := range []string{testkit.WriteToken, testkit.BothToken, someKey, "0011223344"} {
			require.NotContains(t, log, secret)
		}
	}
}

// TestActionsOfAClusterThatCannotAct have no routes.
func TestActionsOfAClusterThatCannotAct(t *testing.T) {
	h := testkit.MakeHandler(testkit.NewLive(testkit.NewCluster(t)), transport.HandlerOptions{Logger: testkit.Quiet()})
	r := httptest.NewRequest(http.MethodPost, "/v1/drain", strings.NewReader(`{"member":"n1"}`))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 404, w.Code)
}

func TestBodiesOfActions(t *testing.T) {
	a := newAdmin(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	for _, test := range []struct {
		path, body string
		status     int
		detail     string
	}{
		{"/v1/drain", `{}`, 400, `field \"member\" is missing or empty`},
		{"/v1/drain", `{"member":""}`, 400, `field \"member\" is missing or empty`},
		{"/v1/drain", `{"member":"n1","member":"n1"}`, 400, "given twice"},
		{"/v1/drain", `{"member":"n1","id":"n2"}`, 400, `unknown field \"id\"`},
		{"/v1/drain", `{"member":"n2"}`, 409, `this is member \"n1\", and the request is for \"n2\": send it there`},
		{"/v1/resume", `["n1"]`, 400, "must be a JSON object"},
		{"/v1/forget", `{"id":""}`, 400, `field \"id\" is missing or empty`},
		{"/v1/forget", `{"id":7}`, 400, "want a string"},
		{"/v1/accept-loss", `{"member":"n1"}`, 400, `field \"partition\" is missing or empty`},
		{"/v1/accept-loss", `{"member":"n1","partition":"3"}`, 400, "want a whole number"},
		{"/v1/accept-loss", `{"member":"n1","partition":-1}`, 404, `there is no partition \"-1\": partitions go from 0 to 7`},
		{"/v1/accept-loss", `{"member":"n1","partition":8}`, 404, `there is no partition \"8\": partitions go from 0 to 7`},
		{"/v1/keys/install", `{"member":"n1"}`, 400, `field \"key\" is missing or empty`},
		{"/v1/keys/install", `{"member":"n1","key":"` + someKey[:30] + `"}`, 400, "the key has 30 characters: must be 32, 48 or 64 hexadecimal digits"},
		{"/v1/keys/use", `{"member":"n1","key":"` + strings.Repeat("z", 32) + `"}`, 400, "the key has 32 characters: must be 32, 48 or 64 hexadecimal digits"},
		{"/v1/keys/remove", `{"member":"n2","key":"` + someKey + `"}`, 409, "send it there"},
	} {
		w := a.send("127.0.0.1:1", test.path, test.body, testkit.WriteToken)
		require.Equal(t, test.status, w.Code, "%s %s: %s", test.path, test.body, w.Body)
		require.Contains(t, w.Body.String(), test.detail, test.body)
		require.NotContains(t, w.Body.String(), someKey[:8])
	}
	require.Zero(t, a.cluster.Acts)

	a.cluster.KeyError = errors.New("membership: removing a gossip key: removing the primary key is not allowed")
	w := a.send("127.0.0.1:1", "/v1/keys/remove", `{"member":"n1","key":"`+someKey+`"}`, testkit.WriteToken)
	requireProblem(t, api.Refusal{Type: "urn:clusterkit:problem:action-failed", Title: "Action failed", Status: 409, Detail: a.cluster.KeyError.Error()}, w, "")
	require.Contains(t, a.log.String(), `level=WARN msg="the action has failed" action=remove-key`)
}

// TestAnActionIsBounded: an action that does not end is answered after 30 s. It ends with
// its request too.
func TestAnActionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmin(t, transport.GuardOptions{Tokens: testkit.Tokens()})
		a.cluster.OnDrain = func(ctx context.Context) error {
			a.cluster.Lifecycle = "draining"
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		w := a.send("127.0.0.1:1", "/v1/drain", `{"member":"n1"}`, testkit.WriteToken)
		require.Equal(t, 30*time.Second, time.Since(began))
		var result api.ActionResult
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &result))
		require.Equal(t, api.ActionResult{Action: "drain", NodeID: "n1", State: "draining", Changed: true, Detail: "context deadline exceeded"}, result)
		require.Contains(t, a.log.String(), "the action has not ended within the request")

		began = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a.send("127.0.0.1:1", "/v1/drain", `{"member":"n1"}`, testkit.WriteToken, func(r *http.Request) { *r = *r.WithContext(ctx) })
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestNamesOfTokens(t *testing.T) {
	o := transport.GuardOptions{Tokens: []transport.Credential{{Token: testkit.Token(testkit.ReadToken), Name: strings.Repeat("n", 101)}}}
	require.EqualError(t, o.Validate(), `Tokens[0].Name is "a text of 101 bytes": must be at most 100 bytes`)
	o.Tokens[0].Name = o.Tokens[0].Name[1:]
	require.NoError(t, o.Validate())
}
