package route_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNetHTTPRepeatsNoRequest: a request that breaks its only owner runs once there, over
// each protocol, also on a connection that was used before. net/http would repeat one
// without a body by itself.
func TestNetHTTPRepeatsNoRequest(t *testing.T) {
	for _, secure := range []bool{false, true} {
		p := newPair(t, secure)
		for _, over := range ways {
			if over.secure != secure {
				continue
			}
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PROPFIND"} {
				for _, headers := range [][]string{nil, {"Idempotency-Key: 7"}} {
					if method == "TRACE" && headers != nil {
						continue
					}
					first := &behaviour{name: "a connection"}
					p.run(t, first, over, 1)
					x := p.run(t, &behaviour{
						handle: func(_ *exchange, _ http.ResponseWriter, r *http.Request) {
							_, _ = io.Copy(io.Discard, r.Body)
							panic(http.ErrAbortHandler)
						},
						send: func(x *exchange) { x.do(x.request(method, "/k", nil, headers...)) },
					}, over, 1)
					require.Contains(t, x.caller[0], "502", "%s %s", over.name, method)
					require.EqualValues(t, 1, x.runs.Load(), "%s %s %v", over.name, method, headers)
				}
			}
		}
	}
}

// TestTheLimitOfHeadersIsOne for requests to the owner and to another member.
func TestTheLimitOfHeadersIsOne(t *testing.T) {
	const most = 8 << 10
	p := newPair(t, false, func(s *http.Server) { s.MaxHeaderBytes = most })
	for _, over := range ways[:2] {
		passed, refused := 0, 0
		// Beyond its limit a server of HTTP/2 may not answer at all.
		for size := most - 3000; size < map[int]int{1: most + 5000, 2: most - 200}[over.major]; size += 77 {
			b := &behaviour{send: func(x *exchange) { x.do(x.request("GET", "/k", nil, "Long: "+strings.Repeat("x", size))) }}
			direct, forwarded := p.run(t, b, over, 2), p.run(t, b, over, 1)
			require.Equal(t, direct.handler, forwarded.handler, "%s, %d bytes", over.name, size)
			require.Equal(t, direct.caller, forwarded.caller, "%s, %d bytes", over.name, size)
			if direct.runs.Load() == 1 {
				passed = size
			} else {
				refused++
			}
		}
		require.Positive(t, refused, over.name)
		require.Greater(t, passed, map[int]int{1: most, 2: most - 2000}[over.major], "%s: the limit of the option passes", over.name)
	}
}
