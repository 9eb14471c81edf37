package route_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// FuzzRouter gives a router any request that net/http accepts. The router must answer
// it. It must not forward a request that another router has forwarded, and must send
// only requests that net/http can send.
func FuzzRouter(f *testing.F) {
	for _, seed := range []string{
		"GET /k HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //evil.example/k?a=%zz;b HTTP/1.1\r\nHost: h\r\nClusterkit-Timeout-Ms: 5\r\n\r\n",
		"POST /k HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
		"PUT http://other.example/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"GET /k HTTP/1.1\r\nHost: h\r\nClusterkit-Forwarded: " + markOf("n1") + "\r\nClusterkit-Token: zz\r\n\r\n",
		"GET /k HTTP/1.1\r\nHost: h\r\nClusterkit-Forwarded: 1 orders kv n2 n1 1 0 -1 9 0 x\r\nClusterkit-Forwarded:\r\n\r\n",
		"GET /k HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, clusterkit-forwarded\r\nUpgrade: \x7f\r\n\r\n",
		"GET /free HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a,,b\r\nClusterkit-Timeout-Ms: -0\r\n\r\n",
		"GET /k HTTP/1.1\r\nHost: h\r\nClusterkit-Token:\r\nClusterkit-Answered: 1\r\nClusterkit-Refused: 1\r\n\r\n",
		"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, trust bool) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.1:1234"
		_, marked := r.Header[wire.ForwardedHeader]
		d := newDesk(t, route.Options{Patience: option.None, TrustForwarded: trust, Wrap: func(next http.RoundTripper) http.RoundTripper {
			return wrapped(func(out *http.Request) (*http.Response, error) {
				require.False(t, marked, "sent on what was sent on")
				require.Equal(t, "n2:1", out.URL.Host)
				require.Equal(t, "http", out.URL.Scheme)
				require.Regexp(t, `^1 orders kv n1 n2 1 0 [0-7] [0-2] [0-9a-f]{1,2} [0-9a-f]{16} [0-9a-f]{16}$`, out.Header.Get(wire.ForwardedHeader))
				require.Len(t, out.Header[wire.ForwardedHeader], 1)
				for _, name := range []string{api.TokenHeader, wire.AnsweredHeader, wire.RefusedHeader} {
					require.NotContains(t, out.Header, name)
				}
				return next.RoundTrip(out)
			})
		}})
		d.own(2)
		w := httptest.NewRecorder()
		d.router.ServeHTTP(w, r)
		require.Contains(t, []int{200, 400, 421, 502, 503, 504}, w.Code, "%q", w.Body)
		if marked && w.Code == 200 {
			require.NotContains(t, w.Body.String(), "n2")
		}
	})
}
