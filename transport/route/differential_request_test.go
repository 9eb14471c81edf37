package route_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// raw sends bytes on a connection of its own, and notes each answer until the connection
// ends or an answer is final.
func (x *exchange) raw(method, text string) {
	conn := x.dial()
	defer func() { _ = conn.Close() }()
	_, err := io.WriteString(conn, text)
	require.NoError(x.t, err)
	x.rawAnswer(bufio.NewReader(conn), method)
}

func (x *exchange) dial() net.Conn {
	conn, err := net.DialTimeout("tcp", x.addr, testkit.Soon)
	require.NoError(x.t, err)
	require.NoError(x.t, conn.SetDeadline(time.Now().Add(testkit.Soon)))
	if x.secure {
		conn = tls.Client(conn, &tls.Config{RootCAs: x.tls.RootCAs, ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}})
	}
	return conn
}

func (x *exchange) rawAnswer(reader *bufio.Reader, method string) {
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: method}) //nolint:bodyclose // got closes it
		if err != nil {
			x.said("no answer")
			return
		}
		x.got(response)
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return
		}
	}
}

// requestBehaviours are the rows about what arrives at the handler.
func requestBehaviours() (table []behaviour) {
	add := func(name string, send func(*exchange)) { table = append(table, behaviour{name: name, send: send}) }
	raw := func(name, method, text string) {
		table = append(table, behaviour{name: name, only: http1, send: func(x *exchange) { x.raw(method, text) }})
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"} {
		add("method "+method, func(x *exchange) { x.do(x.request(method, "/k", nil)) })
		if method != "TRACE" {
			add("method "+method+" with a body", func(x *exchange) { x.do(x.request(method, "/k", strings.NewReader("body"))) })
		}
	}
	for _, target := range []string{
		"/k/%2e%2e/%2E/a", "/k/../x", "/k/./x", "/k//x", "//k/x", "/k/a%2Fb", "/k/a%252Fb", "/k/%C3%A9", "/k/a+b", "/k/a;b=c", "/k/~a!$&'()*,=:@",
		"/k?", "/k?a=%zz", "/k?a;b&c", "/k?%", "/k?a=1&a=2&b", "/k?a=%2B+%20", "/k?q={}|^`", "/k/", "/k?" + strings.Repeat("a=1&", 10001),
	} {
		name := target[:min(len(target), 20)]
		raw("target "+name, "GET", "GET "+target+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if !strings.HasPrefix(target, "//") {
			add("URL "+name, func(x *exchange) { x.do(x.request("GET", target, nil)) })
		}
	}
	for _, target := range []string{`/k/a"b<c>`, "/k/a#b", "/k/a\\b", "/k/\xff", "/k/[x]", "http://example.org/k?x=1", "http://example.org", "https://example.org//k", "http://user:pw@example.org/k", "*"} {
		raw("target "+target, "GET", "GET "+target+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
	}
	raw("OPTIONS *", "OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: k\r\n\r\n")
	raw("OPTIONS * with a body", "OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: k\r\nContent-Length: 2\r\n\r\nab")
	raw("CONNECT", "CONNECT", "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n")
	raw("HTTP/1.0", "GET", "GET /k HTTP/1.0\r\n\r\n")
	raw("HTTP/1.0 with keep-alive", "GET", "GET /k HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
	raw("no User-Agent", "GET", "GET /k HTTP/1.1\r\nHost: a\r\n\r\n")
	raw("empty User-Agent", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nUser-Agent:\r\n\r\n")
	raw("empty Host", "GET", "GET /k HTTP/1.1\r\nHost:\r\n\r\n")
	raw("Host with a port", "GET", "GET /k HTTP/1.1\r\nHost: EXAMPLE.com:8080\r\n\r\n")
	raw("two Hosts", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	raw("close", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	raw("repeated headers", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-b: 2\r\nX-A: 3\r\nX-A:\r\nX-A: 1\r\nAccept: a\r\nAccept: b, c\r\n\r\n")
	raw("a header in other letters", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nx_under_score: 1\r\nSEC-WebSocket-Key: 2\r\nETag: 3\r\n\r\n")
	raw("blanks in a header", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nX-A:  a  b\t c \t\r\n\r\n")
	raw("a header of other bytes", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nX-A: caf\xe9 \xc3\xa9\r\n\r\n")
	raw("Connection names ours", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nConnection: clusterkit-forwarded, clusterkit-token, clusterkit-answered\r\n\r\n")
	raw("no length", "POST", "POST /k HTTP/1.1\r\nHost: a\r\n\r\n")
	raw("length 0", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	raw("length 0 of a GET", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	raw("chunked and empty", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	raw("GET, chunked and empty", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	raw("chunk extensions", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0;z\r\n\r\n")
	raw("a trailer that came", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Other\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n")
	raw("a trailer that did not come", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nab\r\n0\r\n\r\n")
	raw("a trailer not declared", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n")
	raw("TE: trailers", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n")
	raw("short body", "POST", "POST /k HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nbody\n")
	raw("an upgrade that the handler ignores", "GET", "GET /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	for name, headers := range map[string][]string{
		"cookies":               {"Cookie: a=1; b=2", "Cookie: c=3"},
		"a long cookie":         {"Cookie: " + strings.Repeat("a=1; ", 500) + "z=2"},
		"no Accept-Encoding":    nil,
		"Accept-Encoding":       {"Accept-Encoding: gzip, br"},
		"Range":                 {"Range: bytes=0-1", "If-Range: x"},
		"conditions":            {`If-None-Match: "a", W/"b"`, "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"},
		"Authorization":         {"Authorization: Bearer x"},
		"Proxy-Authorization":   {"Proxy-Authorization: Basic x"},
		"forwarding headers":    {"X-Real-Ip: 192.0.2.1", "Via: 1.1 a", "X-Request-Id: 7"},
		"an empty header":       {"X-Empty: "},
		"TE":                    {"Te: trailers"},
		"headers of the router": {"Clusterkit-Token: 1", "Clusterkit-Answered: 2", "Clusterkit-Refused: 3"},
		"a timeout":             {"Clusterkit-Timeout-Ms: 60000"},
		"a timeout of no sense": {"Clusterkit-Timeout-Ms: testkit.Soon"},
	} {
		add(name, func(x *exchange) { x.do(x.request("GET", "/k", nil, headers...)) })
	}
	for _, kib := range []int{1, 4, 60, 128} {
		add(fmt.Sprintf("a header of %d KiB", kib), func(x *exchange) { x.do(x.request("GET", "/k", nil, "Long: "+strings.Repeat("x", kib<<10))) })
	}
	for _, size := range bodySizes() {
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		add(fmt.Sprintf("a body of %d bytes", size), func(x *exchange) { x.do(x.request("PUT", "/k", bytes.NewReader(body))) })
		add(fmt.Sprintf("a body of unknown length of %d bytes", size), func(x *exchange) {
			x.do(x.request("PUT", "/k", io.MultiReader(bytes.NewReader(body))))
		})
	}
	add("a trailer", func(x *exchange) {
		r := x.request("POST", "/k", nil)
		r.Trailer = http.Header{"Checksum": nil, "Unset": nil}
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), readerFunc(func([]byte) (int, error) {
			r.Trailer.Set("Checksum", "abc")
			return 0, io.EOF
		})))
		x.do(r)
	})
	// The sender of a body that breaks is told so by the router.
	table = append(table, behaviour{
		name: "a chunk that is none", only: http1,
		send: func(x *exchange) {
			x.raw("POST", "POST "+brokenPath+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		},
		differs: func(t *testing.T, direct, forwarded *exchange) {
			require.Contains(t, forwarded.caller[0], "400 Bad Request")
		},
	}, behaviour{
		name: "Expect: 100-continue", send: func(x *exchange) { x.do(x.request("PUT", "/k", strings.NewReader("body"), "Expect: 100-continue")) },
	}, behaviour{
		name: "Expect, refused", only: http1, // the server of HTTP/2 hides the header from the router
		handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
			x.sawHead(r)
			w.WriteHeader(http.StatusExpectationFailed)
		},
		send: func(x *exchange) {
			var read bool
			body := readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF })
			r := x.request("PUT", "/k", body, "Expect: 100-continue")
			r.ContentLength = 70 << 10
			x.do(r)
			x.said("the body was sent: %v", read)
		},
	}, behaviour{
		name: "Expect, refused late", only: func(w way) bool { return w.major == 1 && !w.secure },
		handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
			time.Sleep(1100 * time.Millisecond) // net/http would send the body after a second
			w.WriteHeader(http.StatusUnauthorized)
		},
		send: func(x *exchange) {
			var read atomic.Bool
			r := x.request("PUT", "/k", readerFunc(func([]byte) (int, error) { read.Store(true); return 0, io.EOF }), "Expect: 100-continue")
			r.ContentLength = 70 << 10
			x.do(r)
			x.said("the body was sent: %v", read.Load())
		},
	})
	return table
}

// bodySizes are the sizes around the limits of the router, and the largest in the long form.
func bodySizes() []int {
	sizes := []int{0, 1, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20}
	if os.Getenv("CLUSTERKIT_SIM_FULL") != "" {
		return append(sizes, 32<<20)
	}
	return append(sizes, 4<<20)
}
