package route_test

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// FuzzTheSameRequest sends any request to the owner and to another member, over
// connections. Handler and caller must see the same.
func FuzzTheSameRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /k HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /k/%2e%2E//a;b?x=%zz&;y HTTP/1.1\r\nHost: h:80\r\nCookie: a=1\r\nCookie: b\r\n\r\n",
		"POST /k HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
		"PUT http://other.example//k?#f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n4\r\nbody\r\n0\r\nA: 1\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\nUser-Agent:\r\nX: \xff\r\n\r\n",
		"HEAD /k HTTP/1.0\r\nContent-Length: 0\r\nTE: trailers\r\nX-A: 1\r\nX-A:\r\n\r\n",
		"GET /k HTTP/1.6\r\nHost: h\r\n\r\n",
		"GET //\xb3? HTTP/1.1\r\nHost: h\r\n\r\n",
		"DELETE /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\nClusterkit-Token: 1\r\nProxy-Authorization: b\r\n\r\n",
	} {
		f.Add(seed, uint16(200), "text", "X-A", "1")
		f.Add(seed, uint16(304), "", "Date", "never")
		f.Add(seed, uint16(404), strings.Repeat("x", 5000), "Content-Encoding", "gzip")
	}
	p := newPair(f, false)
	f.Fuzz(func(t *testing.T, text string, status uint16, answer, name, value string) {
		reader := strings.NewReader(text)
		buffered := bufio.NewReader(reader)
		r, err := http.ReadRequest(buffered)
		if err != nil || status < 200 || status > 999 || namesConnection(r) || hopByHop(name) || strings.ContainsFunc(name+value, unicode.IsControl) {
			return // no caller reads a header with control characters
		}
		if body, err := io.ReadAll(r.Body); err != nil || len(body) > 0 && r.ContentLength == 0 {
			return // a server would wait for the rest
		}
		text = text[:len(text)-reader.Len()-buffered.Buffered()]
		b := &behaviour{
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				x.sawHead(r)
				x.sawBody(r)
				w.Header().Set(name, value)
				w.WriteHeader(int(status))
				_, _ = io.WriteString(w, answer)
			},
			send: func(x *exchange) { x.raw(r.Method, text) },
		}
		direct, forwarded := p.run(t, b, ways[0], 2), p.run(t, b, ways[0], 1)
		require.Equal(t, strings.Join(direct.handler, "\n"), strings.Join(forwarded.handler, "\n"))
		require.Equal(t, strings.Join(direct.caller, "\n"), strings.Join(forwarded.caller, "\n"))
	})
}

// namesConnection reports whether a request has what docs/routing.md says may differ, or
// what makes an answer depend on time.
func namesConnection(r *http.Request) bool {
	for name, values := range r.Header {
		switch {
		case name == "Connection":
			if values[0] != "close" {
				return true
			}
		case name == "Te":
			if values[0] != "trailers" {
				return true
			}
		case hopByHop(name), name == api.TimeoutHeader, name == wire.ForwardedHeader, name == exchangeHeader:
			return true
		}
	}
	for name := range r.Trailer {
		if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return true // net/http reads trailers with names that it does not send
		}
	}
	if r.ProtoMajor == 1 && r.ProtoMinor > 1 {
		return true // the version of another hop, of which HTTP/1.1 is the latest
	}
	if strings.HasPrefix(r.RequestURI, "//") && r.URL.RequestURI() != r.RequestURI {
		return true // net/http cannot send it without escaping it
	}
	return r.Method == http.MethodConnect || r.Method == "PRI"
}

func hopByHop(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return strings.HasPrefix(name, http.TrailerPrefix) || slices.Contains([]string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		wire.AnsweredHeader,
	}, name)
}
