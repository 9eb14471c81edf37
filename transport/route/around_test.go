package route_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
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

// TestARouterBehindARouter: routers of two services in front of one handler, at one address.
func TestARouterBehindARouter(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b", "eu/c")
	for i := range f.members {
		f.members[i].Services["users"] = f.members[i].Services["kv"]
	}
	for _, s := range f.stations {
		front, err := route.New(s, s.router, route.Options{Service: "users", Logger: testkit.Quiet(), Key: func(r *http.Request) (string, bool) {
			return strings.CutPrefix(r.URL.Path, "/users/")
		}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, front.Close()) })
		s.put(front)
	}
	f.agree(2)
	for _, path := range []string{"/k", "/users/a"} {
		for member := 1; member <= 3; member++ {
			response, body := f.send(member, "POST", path, "v")
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			require.Equal(t, "n2", body, "%s at n%d", path, member)
		}
	}
	require.Len(t, f.received(2), 6)
	require.Zero(t, sum(f.stats(1).Refused))

	f.stations[1].put(f.stations[1].router) // there is no router of this service
	response, body := f.send(1, "POST", "/users/a", "v")
	requireFailure(t, response, body, 503, api.RefusalNoOwner)
	require.Contains(t, body, `the request is for the service`)
	require.Len(t, f.received(2), 6)
}
