package transport_test

import (
	"fmt"
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

// from is a GET request from an address.
func from(h http.Handler, remote string, forwarded ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/v1/lookup?key=k", nil)
	r.RemoteAddr = remote
	if len(forwarded) > 0 {
		r.Header["X-Forwarded-For"] = forwarded
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := testkit.Guarded(t, transport.GuardOptions{
			PerClient: transport.RateLimit{PerSecond: 0.5, Burst: 2}, Overall: transport.RateLimit{PerSecond: 2, Burst: 4},
		})
		limited := func(why string, wait int) api.Refusal {
			return api.Refusal{Type: "urn:clusterkit:problem:too-many-requests", Title: "Too many requests", Status: 429,
				Detail: fmt.Sprintf("%s: try again in %d s", why, wait)}
		}
		for range 2 {
			require.Equal(t, 200, from(h, "192.0.2.1:1000").Code)
		}
		for port := range 10 {
			w := from(h, fmt.Sprintf("192.0.2.1:%d", port))
			require.Equal(t, "2", w.Header().Get("Retry-After"))
			requireProblem(t, limited("the client asks too often", 2), w, "")
		}
		require.Equal(t, 200, from(h, "192.0.2.2:1").Code, "another client is not in its way")
		require.Equal(t, 200, from(h, "192.0.2.3:1").Code)
		w := from(h, "192.0.2.4:1")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		requireProblem(t, limited("all clients together ask too often", 1), w, "the overall burst is used up")
		require.Equal(t, 200, call(h, "GET", "/livez", "").Code, "probes get through")
		require.Equal(t, transport.GuardCounts{Limited: 11}, g.Counts())

		time.Sleep(2 * time.Second) // the time that Retry-After names
		require.Equal(t, 200, from(h, "192.0.2.1:1").Code)
		require.Equal(t, 429, from(h, "192.0.2.1:1").Code)
	})
}

// TestStrangersDoNotUseUpTheOverallLimit: a client without a token does not count for
// the overall limit, but has its own limit.
func TestStrangersDoNotUseUpTheOverallLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := testkit.Guarded(t, transport.GuardOptions{
			Tokens: testkit.Tokens(), PerClient: transport.RateLimit{PerSecond: 1, Burst: 5}, Overall: transport.RateLimit{PerSecond: 1, Burst: 2},
		})
		for i := range 100 {
			require.Equal(t, 401, from(h, fmt.Sprintf("192.0.2.%d:1", i)).Code)
		}
		for i := range 10 {
			require.Equal(t, []int{401, 429}[min(i/5, 1)], from(h, "198.51.100.1:1").Code, "guessing tokens is limited")
		}
		for range 2 {
			require.Equal(t, 200, call(h, "GET", "/v1/ring", "", "Authorization: Bearer "+testkit.ReadToken).Code)
		}
		require.Equal(t, 429, call(h, "GET", "/v1/ring", "", "Authorization: Bearer "+testkit.ReadToken).Code)
		require.Equal(t, transport.GuardCounts{Unauthorized: 105, Limited: 6}, g.Counts())
	})
}

// TestForwardingHeaders: without a trusted proxy they are ignored; with one only the
// part that the proxy wrote counts.
func TestForwardingHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := transport.GuardOptions{PerClient: transport.RateLimit{PerSecond: 0.01, Burst: 1}}
		open, _ := testkit.Guarded(t, limit)
		require.Equal(t, 200, from(open, "192.0.2.1:1", "203.0.113.1").Code)
		require.Equal(t, 429, from(open, "192.0.2.1:1", "203.0.113.2").Code, "a forged header makes no other client")

		limit.TrustedProxies = []string{"10.0.0.0/8"}
		h, _ := testkit.Guarded(t, limit)
		for _, step := range []struct {
			remote string
			header []string
			status int
		}{
			{"10.0.0.1:1", []string{"203.0.113.1"}, 200},
			{"10.0.0.2:1", []string{"203.0.113.1"}, 429}, // the same client through another proxy
			{"10.0.0.1:1", []string{"203.0.113.2"}, 200},
			{"10.0.0.1:1", []string{"198.51.100.9, 203.0.113.2"}, 429},               // the part that the client wrote is ignored
			{"10.0.0.1:1", []string{"198.51.100.9", "203.0.113.2, 10.3.3.3"}, 429},   // through two trusted proxies
			{"10.0.0.1:1", []string{"203.0.113.3:5000"}, 200},                        // with a port
			{"203.0.113.3:7", []string{"203.0.113.77"}, 429},                         // directly: the client wrote the header
			{"10.0.0.1:1", nil, 200},                                                 // the proxy itself
			{"10.0.0.1:2", []string{"nonsense"}, 429},                                // … for which an invalid header counts
			{"10.0.0.1:2", []string{"203.0.113.4, "}, 429},                           // … and an empty one
			{"10.0.0.4:2", []string{"10.0.0.4"}, 200},                                // all hops are trusted: the farthest counts
			{"[2001:db8:1:2::1]:1", nil, 200},                                        //
			{"[2001:db8:1:2:ffff::2]:1", nil, 429},                                   // one network, one client
			{"[2001:db8:1:3::1]:1", nil, 200},                                        //
			{"[::ffff:192.0.2.50]:1", nil, 200},                                      //
			{"192.0.2.50:1", nil, 429},                                               // the same address written as IPv6
			{"10.0.0.9:1", []string{strings.Repeat("10.0.0.1,", 1000) + "x, "}, 200}, //
			{"@", nil, 200}, // no address, as on a Unix socket
			{"", nil, 429},
		} {
			require.Equal(t, step.status, from(h, step.remote, step.header...).Code, "%s %.60v", step.remote, step.header)
		}
	})
}
