package route_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/route"
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

// TestNetHTTPRepeatsNoReadOverAnotherConnection: there are more idle connections to the
// owner on which net/http would send a read again.
func TestNetHTTPRepeatsNoReadOverAnotherConnection(t *testing.T) {
	const idle = 8
	var warm sync.WaitGroup
	var runs atomic.Int64
	f := newFleet(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			warm.Done()
			warm.Wait() // each has a connection of its own
			return
		}
		runs.Add(1)
		panic(http.ErrAbortHandler)
	}, func(o *route.Options) { o.Patience = option.None }, "eu/a", "eu/b")
	f.agree(2)
	for round := range 20 {
		warm.Add(idle)
		var all sync.WaitGroup
		for range idle {
			all.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url(1, "/k"), nil)
				if err != nil {
					panic(err)
				}
				response, err := f.client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
			})
		}
		all.Wait()
		response, _ := f.send(1, "GET", "/k", "")
		require.Equal(t, http.StatusBadGateway, response.StatusCode)
		require.EqualValues(t, round+1, runs.Load())
	}
	require.EqualValues(t, 20, f.stats(1).Broken.SameRegion)
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

// TestATransportThatUnpacks: a http.Transport adds Accept-Encoding to a request without one, and unpacks
// the answer. A caller behind a router gets what the handler has written for it.
func TestATransportThatUnpacks(t *testing.T) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"of the packed text"`)
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "text")
			_ = z.Close()
			return
		}
		_, _ = fmt.Fprintf(w, "%q", r.Header["Accept-Encoding"])
	}, func(o *route.Options) { o.Transport = tr }, "eu/a", "eu/b")
	f.client.Transport.(*http.Transport).DisableCompression = true
	f.agree(2)
	for _, headers := range [][]string{nil, {"Accept-Encoding: identity"}, {"Accept-Encoding: gzip"}, {"Range: bytes=0-1"}} {
		direct, body := f.send(2, "GET", "/k", "", headers...)
		forwarded, other := f.send(1, "GET", "/k", "", headers...)
		require.Equal(t, body, other)
		require.Equal(t, notedHeader(direct.Header), notedHeader(forwarded.Header))
	}
}
