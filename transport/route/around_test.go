package route_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHandlersAroundTheRouter set a header at both members: the caller gets it once. And a
// handler that is a ReverseProxy removes all headers after an informational answer: its
// answer still counts as one of the owner.
func TestHandlersAroundTheRouter(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "nested")
	}))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	require.NoError(t, err)
	nested := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	f := newFleet(t, nested.ServeHTTP, nil, "eu/a", "eu/b")
	f.agree(2)
	for _, s := range f.stations {
		s.put(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Frame-Options", "DENY")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			s.router.ServeHTTP(w, r)
		}))
	}
	direct, body := f.send(2, "GET", "/k", "")
	forwarded, other := f.send(1, "GET", "/k", "")
	require.Equal(t, "nested", body)
	require.Equal(t, body, other)
	require.Equal(t, direct.StatusCode, forwarded.StatusCode)
	for _, name := range []string{"Link", "Content-Type", "Content-Length", "Clusterkit-Answered"} {
		require.Equal(t, direct.Header[name], forwarded.Header[name], name)
	}
	for _, name := range []string{"X-Frame-Options", "Access-Control-Allow-Origin", "Date"} {
		require.LessOrEqual(t, len(forwarded.Header[name]), 1, name)
	}
}
