package transport_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/credential"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// FuzzQueries sends any query to any route, and compares the answer with the OpenAPI
// document. Each seed goes to every route.
func FuzzQueries(f *testing.F) {
	h := fuzzHandler(f)
	routes := h.Routes()
	for _, seed := range []string{"verbose", "verbose=0&moves=false&key=k", "region=eu&zone=", "zone=%ff", "a;b", "%zz", "key=a&key=b&verbose=x&moves="} {
		for i := range routes {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, query string) {
		route := routes[int(i)%len(routes)]
		method, path, _ := strings.Cut(route, " ")
		body := []byte(nil)
		if method == http.MethodPost {
			body = []byte(`{}`)
			if path == "/v1/lookup" {
				body = []byte(`{"keys":["a"]}`)
			}
		}
		u := url.URL{Path: strings.ReplaceAll(path, "{id}", "1"), RawQuery: query}
		r := httptest.NewRequest(method, "/", strings.NewReader(string(body)))
		r.URL = &u
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.NoError(t, openAPI().checkAnswer(method, u.Path, w.Code, w.Header(), w.Body.Bytes()))
		want := []int{200, 400}
		if strings.HasPrefix(route, "POST ") && path != "/v1/lookup" && path != "/v1/plan" {
			want = []int{403} // actions are off
		}
		require.Contains(t, want, w.Code, "%s?%s", route, query)
	})
}

// FuzzGuard: without a known token the guard admits only probes, whatever else a
// request carries.
func FuzzGuard(f *testing.F) {
	for _, seed := range [][5]string{
		{"GET", "/v1/ring", "Bearer " + testkit.ReadToken, "192.0.2.1:1", "203.0.113.1, 10.0.0.1"},
		{"POST", "/v1/plan", "bearer\t" + testkit.WriteToken, "[::1%eth0]:1", "for=1.2.3.4"},
		{"GET", "/livez", "", "10.0.0.1:9", ",,,"}, {"GET", "//livez", "Bearer  ", "@", "::ffff:10.0.0.1"},
		{"DELETE", "/readyz", "Basic x", "", "[2001:db8::1]:443"}, {"livez", "/livez\x00", "Bearer a b", "1.2.3.4", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	g := testkit.NewGuard(f, transport.GuardOptions{
		Tokens: testkit.Tokens(), TrustedProxies: []string{"10.0.0.0/8", "::1/128"}, MaxClients: 8,
		PerClient: transport.RateLimit{PerSecond: 1e6}, Overall: transport.RateLimit{PerSecond: 1e6},
	})
	through := false
	h := g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { through = true }))
	f.Fuzz(func(t *testing.T, method, path, authorization, remote, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL, r.RemoteAddr = method, &url.URL{Path: path}, remote
		r.Header["Authorization"], r.Header["X-Forwarded-For"] = []string{authorization}, []string{forwarded}
		through = false
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		known := false
		for _, token := range []string{testkit.ReadToken, testkit.WriteToken, testkit.BothToken} {
			known = known || len(authorization) >= 7 && strings.EqualFold(authorization[:7], "Bearer ") && strings.Trim(authorization[7:], " ") == token
		}
		probe := (path == "/livez" || path == "/readyz") && (method == http.MethodGet || method == http.MethodHead)
		if through {
			require.True(t, known || probe, "%s %q with %q", method, path, authorization)
			return
		}
		require.False(t, probe)
		var p api.Refusal
		require.Contains(t, []int{401, 403, 429}, w.Code)
		if method != http.MethodHead {
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			require.Equal(t, w.Code, p.Status)
		}
		require.Less(t, w.Body.Len(), 1<<10)
	})
}

// FuzzTokenFile: any file is either used or refused, and no error shows its content.
func FuzzTokenFile(f *testing.F) {
	for _, seed := range []string{"read " + testkit.ReadToken, "# x\n\nread,write\t" + testkit.WriteToken + "\r\n", "write", "read a b", "read " + testkit.ReadToken + "\nread " + testkit.ReadToken, "\x00"} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(dir, "tokens")
		require.NoError(t, os.WriteFile(file, content, 0o600))
		_, err := transport.NewGuard(transport.GuardOptions{TokenFile: file, Logger: testkit.Quiet()})
		if err == nil {
			return
		}
		for word := range strings.FieldsSeq(string(content)) {
			if len(word) >= credential.MinBytes && !strings.Contains(file, word) {
				require.NotContains(t, err.Error(), word)
			}
		}
	})
}

// answer is a round tripper that does not leave the process.
type answer struct {
	status       int
	kind, header string
	body         []byte
}

func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Retry-After", a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// FuzzClientAnswers: for any response of a server the client returns an answer or an
// error, and for a refusal a problem with the status of the response.
func FuzzClientAnswers(f *testing.F) {
	f.Add(200, "application/json", "", []byte(`{"members":[{}]}`))
	f.Add(503, "text/plain", "1", []byte("not ready\nunready: a: b\n"))
	f.Add(429, "application/problem+json", "0", []byte(`{"type":"x","status":1,"index":-1}`))
	f.Add(200, "text/plain; charset=utf-8", "", []byte("ready\n\n:\n"))
	f.Add(387, "AppliCAtion/proBlem+json", "0", []byte("{}"))
	f.Add(418, "\x00", "Mon, 02 Jan 2006 15:04:05 GMT", []byte("\xff"))
	var now answer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.ServeHTTP(w, r) }))
	f.Cleanup(srv.Close)
	c, err := client.New(client.Options{URLs: []string{srv.URL}, Retries: -1, Logger: testkit.Quiet()})
	require.NoError(f, err)
	f.Cleanup(func() { _ = c.Close() })
	f.Fuzz(func(t *testing.T, status int, kind, header string, body []byte) {
		if status < 200 || status > 999 || status == 204 || status == 304 {
			return // net/http would not send such a response
		}
		now = answer{status, kind, header, body}
		_, ready := c.Ready(t.Context())
		_, members := c.Members(t.Context())
		_, batch := c.LookupBatch(t.Context(), []string{"a"}, client.Near{})
		for _, err := range []error{ready, members, batch} {
			if p, ok := errors.AsType[*api.Refusal](err); ok {
				require.Equal(t, status, p.Status)
				require.NotEmpty(t, p.Title)
			}
		}
		if status >= 300 {
			require.Error(t, members)
			require.Error(t, batch)
		}
	})
}
