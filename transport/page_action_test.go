package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// fromPage makes a request what a browser sends for a form of the page.
func fromPage(r *http.Request) {
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		r.SetBasicAuth("anybody", token)
	}
}

// forms are the forms that confirm actions.
var forms = map[string]string{
	"drain": "act=drain&subject=&member=n1", "resume": "act=resume&subject=&member=n1",
	"forget": "act=forget&subject=n9&member=n1", "accept-loss": "act=accept-loss&subject=3&member=n1",
}

// see asks for the page.
func (a *admin) see(from, target, token string, edit func(r *http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(a.t.Context(), http.MethodGet, target, nil)
	r.RemoteAddr = from
	r.Header.Set("Accept", "text/html")
	if token != "" {
		r.SetBasicAuth("anybody", token)
	}
	edit(r)
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	return w
}

// TestWhoMayActOnThePage: the page offers actions to those that may act, and its forms are
// refused to all others, before anything is done or logged. A form that is sent twice does no
// harm.
func TestWhoMayActOnThePage(t *testing.T) {
	tokens := transport.GuardOptions{Tokens: testkit.Tokens(), TokensInClear: true}
	tokens.Tokens[2].Name = "deploys"
	none := func(*http.Request) {}
	encrypted := func(r *http.Request) { r.TLS = new(tls.ConnectionState) }
	const offer, why = `href="?act=drain#act"`, "You may not act: "
	for _, test := range []struct {
		name        string
		guard       transport.GuardOptions
		from, token string
		edit        func(r *http.Request)
		page        string // what the page says; empty: the guard refuses the request
		kind        string // of the refusal of the form; empty: admitted
		caller      string
	}{
		{"without a guard's tokens", transport.GuardOptions{}, "127.0.0.1:1", "", none, why + "actions are off", "actions-off", ""},
		{"with a token that nobody checks", transport.GuardOptions{}, "127.0.0.1:1", testkit.BothToken, none, why + "the token that the browser sends", "actions-off", ""},
		{"without a token", tokens, "127.0.0.1:1", "", none, "", "invalid-token", ""},
		{"with a token that reads", tokens, "127.0.0.1:1", testkit.ReadToken, none, why + "the token that the browser sends has not the scope write", "insufficient-scope", ""},
		{"in clear", tokens, "192.0.2.1:1", testkit.BothToken, none, why + "an action is refused over a connection in clear", "in-clear", ""},
		{"on loopback", tokens, "127.0.0.1:1", testkit.BothToken, none, offer, "", "token deploys"},
		{"over TLS", tokens, "192.0.2.1:1", testkit.BothToken, encrypted, offer, "", "token deploys"},
		{"with a certificate alone", transport.GuardOptions{}, "192.0.2.1:1", "", showing(true), offer, "", "certificate CN=ops"},
	} {
		a := newAdmin(t, test.guard)
		w := a.see(test.from, "/?act=drain", test.token, test.edit)
		if test.page == "" {
			require.Equal(t, 401, w.Code, test.name)
		} else {
			require.Equal(t, 200, w.Code, test.name)
			require.Contains(t, w.Body.String(), test.page, test.name)
			require.Equal(t, test.kind == "", strings.Contains(w.Body.String(), `method="post"`), test.name)
		}
		require.Zero(t, a.cluster.Acts, "a page changes nothing")
		for kind, form := range forms {
			w := a.send(test.from, "/", form, test.token, fromPage, test.edit)
			if test.kind != "" {
				require.Contains(t, w.Body.String(), `"urn:clusterkit:problem:`+test.kind+`"`, "%s %s", test.name, kind)
				continue
			}
			require.Equal(t, 200, w.Code, "%s %s: %s", test.name, kind, w.Body)
			require.Contains(t, w.Body.String(), `<strong>`+kind+`</strong>: nothing had to change`)
			require.Equal(t, 200, a.send(test.from, "/", form, test.token, fromPage, test.edit).Code)
		}
		if test.kind != "" {
			require.Zero(t, a.cluster.Acts, test.name)
			require.Empty(t, a.log.String(), test.name)
			continue
		}
		require.Equal(t, 8, a.cluster.Acts, test.name)
		log := a.log.String()
		require.Equal(t, 16, strings.Count(log, `caller="`+test.caller+`" addr=`+test.from), log)
		require.NotContains(t, log, testkit.BothToken)
	}
}

// TestFormsOfOtherPages are refused: a browser sends a password, or a certificate, with every
// request to the member.
func TestFormsOfOtherPages(t *testing.T) {
	set := func(site, origin string) func(r *http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			r.Host = "member.example:8080"
		}
	}
	a := newAdmin(t, transport.GuardOptions{Tokens: testkit.Tokens(), TrustedOrigins: []string{"https://trusted.example"}})
	for _, from := range [][2]string{
		{"cross-site", ""}, {"same-site", ""}, {"none", ""}, {"", ""}, {"", "null"}, {"", "http://evil.example"}, {"", "https://member.example:8080"},
		{"", "http://member.example"}, {"", "https://trusted.example"}, {"cross-site", "https://trusted.example"}, {"cross-site", "http://member.example:8080"},
	} {
		w := a.send("127.0.0.1:1", "/", forms["drain"], testkit.BothToken, fromPage, set(from[0], from[1]))
		require.Equal(t, 403, w.Code, from)
		require.Contains(t, w.Body.String(), "cross-origin", from)
	}
	require.Zero(t, a.cluster.Acts)
	for i, from := range [][2]string{{"same-origin", ""}, {"same-origin", "null"}, {"", "http://member.example:8080"}} {
		require.Equal(t, 200, a.send("127.0.0.1:1", "/", forms["drain"], testkit.BothToken, fromPage, set(from[0], from[1])).Code, from)
		require.Equal(t, i+1, a.cluster.Acts)
	}
}

// TestFormsOfThePageThatNameNothing are refused, and change nothing.
func TestFormsOfThePageThatNameNothing(t *testing.T) {
	a := newAdmin(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	for _, test := range []struct {
		form, kind string
		status     int
		detail     string
	}{
		{"", "", 400, `the action is \"\": must be drain, resume, forget or accept-loss`},
		{"act=remove-key&subject=" + someKey, "", 400, `must be drain, resume, forget or accept-loss`},
		{"act=drain", "", 400, `field \"member\" is missing or empty`},
		{"act=drain&act=drain&member=n1", "", 400, `field \"act\" is given 2 times: give it once`},
		{"act=drain&member=n2", "", 409, "Not done: this is member &#34;n1&#34;, and the request is for &#34;n2&#34;"},
		{"act=forget&subject=", "", 400, "the ID of the member has 0 bytes: must have 1 to 256"},
		{"act=forget&subject=" + strings.Repeat("n", 257), "", 400, "the ID of the member has 257 bytes"},
		{"act=accept-loss&subject=8&member=n1", "", 404, `there is no partition \"8\"`},
		{"act=accept-loss&subject=-1&member=n1", "", 404, `there is no partition \"-1\"`},
		{"act=accept-loss&subject=x&member=n1", "", 400, `the partition is \"x\": must be a whole number`},
		{"act=%zz", "", 400, "the form is malformed"},
		{"act=drain&member=n1&x=" + strings.Repeat("n", 5000), "", 413, "longer than 4096 bytes"},
		{`{"member":"n1"}`, "application/json", 415, "must be application/x-www-form-urlencoded"},
		{forms["drain"], "text/plain", 415, "must be application/x-www-form-urlencoded"},
	} {
		w := a.send("127.0.0.1:1", "/", test.form, testkit.BothToken, fromPage, func(r *http.Request) {
			if test.kind != "" {
				r.Header.Set("Content-Type", test.kind)
			}
		})
		require.Equal(t, test.status, w.Code, "%.80s: %s", test.form, w.Body)
		require.Contains(t, w.Body.String(), test.detail, test.form)
	}
	for target, detail := range map[string]string{
		"/?act=burn":                  "Not done: the action is",
		"/?act=forget":                "Not done: the ID of the member has 0 bytes",
		"/?act=accept-loss&subject=8": "Not done: there is no partition",
	} {
		w := a.see("127.0.0.1:1", target, testkit.BothToken, func(*http.Request) {})
		require.Equal(t, 200, w.Code)
		require.Contains(t, w.Body.String(), detail)
		require.NotContains(t, w.Body.String(), `method="post"`)
	}
	require.Zero(t, a.cluster.Acts)

	a.cluster.OnDrain = func(context.Context) error { return errors.New("cluster: no other member can take over") }
	w := a.send("127.0.0.1:1", "/", forms["drain"], testkit.BothToken, fromPage)
	require.Equal(t, 409, w.Code)
	require.Contains(t, w.Body.String(), "Not done: cluster: no other member can take over")
}
