package transport_test

import (
	"compress/gzip"
	"encoding/base64"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

const browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"

// TestThePageIsForBrowsers: other callers get what they get at an unknown path.
func TestThePageIsForBrowsers(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	for _, headers := range [][]string{nil, {"Accept: */*"}, {"Accept: application/json"}, {"Accept: text/html;q=0"}, {"Accept: text/html;q=NaN"}, {"Accept: text/html;q=-1"}, {"Accept: text/html;q=Inf"}} {
		w := call(h, "GET", "/", "", headers...)
		require.Equal(t, 404, w.Code, headers)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
	require.Equal(t, 404, call(h, "POST", "/", "").Code)
	require.Equal(t, 404, call(testkit.NewHandler(testkit.NewLive(testkit.NewCluster(t))), "POST", "/", "", browser).Code, "a cluster that cannot be acted on")
	w := call(h, "GET", "/", "", browser)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	requireCommonHeaders(t, w.Header())
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Contains(t, w.Body.String(), "c7ceb4f30bc868a5")
	require.Contains(t, w.Body.String(), "n3 joined, as active")
	head := call(h, "HEAD", "/", "", browser)
	require.Equal(t, 200, head.Code)
	require.Empty(t, head.Body.String())

	broken := testkit.NewCluster(t)
	broken.Boom = "boom"
	require.Equal(t, 500, call(testkit.NewHandler(broken), "GET", "/", "", browser).Code)
	early := testkit.NewCluster(t)
	early.Shown.Ring = nil
	h = testkit.NewHandler(early)
	require.Contains(t, call(h, "GET", "/?key=a&change=drain&id=n1", "", browser).Body.String(), "no member is known to own anything yet")
	require.Equal(t, 503, call(h, "GET", "/map.png", "").Code)
}

// TestTheFormsOfThePage give the answers of the routes, and refusals where they refuse.
func TestTheFormsOfThePage(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	for target, want := range map[string]string{
		"/?key=user:42":                       "token <code>f4071336939b7c7c</code>, primary <strong>n1</strong>",
		"/?partition=5":                       "token <code>227c3e28cbcfbafd</code>, primary <strong>n3</strong>",
		"/?partition=99":                      "there is no partition &#34;99&#34;",
		"/?partition=x":                       "there is no partition &#34;x&#34;",
		"/?key=":                              "the key is empty",
		"/?change=drain&id=n3&zone=eu/eu-1a":  "of 16 replicas would move",
		"/?change=lose&zone=us/us-1a":         "of 16 replicas would move",
		"/?change=remove&id=nobody":           "is not in the ring",
		"/?change=reweigh&id=n1&weight=heavy": "must be a whole number",
		"/?change=add&id=n9&zone=eu/eu-1c":    "of 16 replicas would move",
		"/?member=n2":                         "Partitions of <strong>n2</strong>",
	} {
		w := call(h, "GET", target, "", browser)
		require.Equal(t, 200, w.Code, target)
		require.Contains(t, w.Body.String(), want, target)
	}
	require.Equal(t, 400, call(h, "GET", "/?%zz", "", browser).Code)
}

// TestTheFilesOfThePage are compressed for callers that take that, and kept by browsers as
// long as they are the same.
func TestTheFilesOfThePage(t *testing.T) {
	c := testkit.NewCluster(t)
	h := testkit.NewHandler(c)
	text := call(h, "GET", "/", "", browser).Body.String()
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} {
		from := strings.Index(text, name)
		require.Positive(t, from)
		versioned := text[from : from+strings.Index(text[from:], `"`)]
		w := call(h, "GET", "/"+versioned, "", "Accept-Encoding: br;q=1, gzip;q=0.5")
		require.Equal(t, kind, w.Header().Get("Content-Type"))
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
		require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
		z, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		plain, err := io.ReadAll(z)
		require.NoError(t, err)
		for _, encoding := range []string{"identity", "gzip;q=0", "gzip;q=x", ""} {
			w := call(h, "GET", "/"+name, "", "Accept-Encoding: "+encoding)
			require.Equal(t, string(plain), w.Body.String(), encoding)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
	w := call(h, "GET", "/map.png?v="+c.Shown.Fingerprint.String(), "")
	require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
	require.Equal(t, "image/png", w.Header().Get("Content-Type"))
	_, err := png.Decode(w.Body)
	require.NoError(t, err)
	require.Equal(t, "no-store", call(h, "GET", "/map.png?v=0&member=n1", "").Header().Get("Cache-Control"))
}

// TestThePageBehindTheGuard: a browser is asked for a token, and sends it as the password.
func TestThePageBehindTheGuard(t *testing.T) {
	h, _ := testkit.Guarded(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	for _, target := range []string{"/", "/page.css", "/page.js", "/map.png", "/v1/events", "/v1/table"} {
		require.Equal(t, 401, call(h, "GET", target, "").Code, target)
	}
	w := call(h, "GET", "/", "", browser)
	require.Equal(t, 401, w.Code)
	challenges := strings.Join(w.Header().Values("WWW-Authenticate"), "\n")
	require.Contains(t, challenges, `Bearer realm="clusterkit"`)
	require.Contains(t, challenges, `Basic realm="`)
	require.Len(t, call(h, "GET", "/v1/ring", "").Header().Values("WWW-Authenticate"), 1, "programs are asked for a bearer token")
	basic := func(name, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
	}
	for credentials, status := range map[string]int{
		basic("", testkit.ReadToken): 200, basic("anybody", testkit.ReadToken): 200, basic("x", testkit.WriteToken): 403,
		basic("x", "wrong-0123456789abcdef"): 401, basic(testkit.ReadToken, ""): 401, "Authorization: Basic !": 401,
	} {
		require.Equal(t, status, call(h, "GET", "/", "", browser, credentials).Code, credentials)
	}
	// A page of another site cannot use what the browser remembers to change anything.
	w = call(h, "POST", "/v1/plan", "{}", basic("", testkit.BothToken), "Sec-Fetch-Site: cross-site")
	require.Equal(t, 403, w.Code)
}

// TestThePageBelowAPrefix needs no absolute address.
func TestThePageBelowAPrefix(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/cluster/", http.StripPrefix("/cluster", testkit.NewHandler(testkit.NewCluster(t))))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/cluster/", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.NotContains(t, w.Body.String(), `="/`)
}
