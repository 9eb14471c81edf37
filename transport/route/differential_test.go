package route_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// way is a protocol between a caller and a member.
type way struct {
	name   string
	secure bool
	major  int // of HTTP
}

var ways = []way{{"HTTP1", false, 1}, {"HTTP2", false, 2}, {"HTTP1-TLS", true, 1}, {"HTTP2-TLS", true, 2}}

// behaviour is a row of the differential table: what a handler and its caller do. It runs
// once at the owner of the key and once at another member, which forwards the request.
// What both see must be the same.
type behaviour struct {
	name string
	only func(way) bool // nil: every way
	// handle is the handler. Nil: one that notes the request and its body.
	handle func(*exchange, http.ResponseWriter, *http.Request)
	// send is the caller. Nil: a GET of /k.
	send func(*exchange)
	// differs allows a documented difference, and checks it: it gets the exchange that
	// was forwarded.
	differs func(t *testing.T, direct, forwarded *exchange)
}

func http1(w way) bool { return w.major == 1 }
func http2(w way) bool { return w.major == 2 }

// exchange is one run of a behaviour.
type exchange struct {
	*behaviour
	way
	t       *testing.T
	ctx     context.Context // ends when the exchange takes too long
	addr    string          // of the member asked
	url     string
	tls     *tls.Config
	client  *http.Client
	mu      sync.Mutex
	caller  []string // notes of the caller
	handler []string // notes of the handler
	runs    atomic.Int64
	running int           // handlers
	ended   sync.Cond     // running is less
	began   chan struct{} // for handlers that tell the caller to go on
}

// said adds a note of the caller.
func (x *exchange) said(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.caller = append(x.caller, fmt.Sprintf(format, args...))
}

// enter and leave count the handlers that run, and idle waits until none does.
func (x *exchange) enter() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running++
	x.runs.Add(1)
}

func (x *exchange) leave() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running--
	x.ended.Broadcast()
}

func (x *exchange) idle() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.running > 0 {
		x.ended.Wait()
	}
}

// saw adds a note of the handler.
func (x *exchange) saw(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.handler = append(x.handler, fmt.Sprintf(format, args...))
}

// exchangeHeader names the exchange of a request, where the caller can add a header.
const exchangeHeader = "Exchange"

func (x *exchange) id() string { return fmt.Sprintf("%p", x) }

// notedHeader writes a header in one order, without what may differ by the documents.
func notedHeader(h http.Header) string {
	h = maps.Clone(h)
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", // as a proxy
		"Connection", "Keep-Alive", "Proxy-Connection", // of a connection, not of a request
		exchangeHeader,
	} {
		delete(h, name)
	}
	if len(h["Date"]) == 1 {
		h["Date"] = []string{"now"}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			if len(value) > 100 {
				value = digest([]byte(value))
			}
			lines = append(lines, name+": "+value)
		}
		if len(h[name]) == 0 {
			lines = append(lines, name+" without a value")
		}
	}
	return strings.Join(lines, "\n    ")
}

func digest(b []byte) string {
	if len(b) <= 100 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
}

// note is a handler: it notes everything that it can learn of a request.
func note(x *exchange, w http.ResponseWriter, r *http.Request) {
	x.sawHead(r)
	x.sawBody(r)
	_, _ = io.WriteString(w, "ok")
}

func (x *exchange) sawHead(r *http.Request) {
	u := *r.URL
	x.saw("%s %q %s, host %q, length %d, encoding %q, close %v", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close && r.ProtoMajor == 2)
	x.saw("URL %q %q path %q raw %q query %q force %v", u.Scheme, u.Host, u.Path, u.RawPath, u.RawQuery, u.ForceQuery)
	x.saw("header\n    %s", notedHeader(r.Header))
	x.saw("trailer before the body\n    %s", notedHeader(r.Trailer))
	_, deadline := r.Context().Deadline()
	x.saw("deadline %v", deadline)
}

func (x *exchange) sawBody(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	x.saw("body %s, error %v", digest(body), err != nil)
	x.saw("trailer\n    %s", notedHeader(r.Trailer))
}

// request makes a request for the caller.
func (x *exchange) request(method, path string, body io.Reader, headers ...string) *http.Request {
	r, err := http.NewRequestWithContext(x.ctx, method, x.url+path, body)
	require.NoError(x.t, err)
	r.Host = "example.com"
	r.Header.Set(exchangeHeader, x.id())
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// pipe is an io.Pipe that breaks when the exchange takes too long.
func (x *exchange) pipe() (*io.PipeReader, *io.PipeWriter) {
	reader, writer := io.Pipe()
	context.AfterFunc(x.ctx, func() { _ = reader.CloseWithError(context.Cause(x.ctx)) })
	return reader, writer
}

// do sends a request, and notes the answer.
func (x *exchange) do(r *http.Request) {
	response, err := x.client.Do(r) //nolint:bodyclose // got closes it
	if err != nil {
		x.said("no answer")
		return
	}
	x.got(response)
}

// got notes an answer and its body.
func (x *exchange) got(response *http.Response) {
	defer func() { _ = response.Body.Close() }()
	x.said("%s %s length %d, encoding %q, unpacked %v", response.Proto, response.Status, response.ContentLength, response.TransferEncoding, response.Uncompressed)
	x.said("header\n    %s", notedHeader(response.Header))
	x.said("trailer before the body\n    %s", notedHeader(response.Trailer))
	body, err := io.ReadAll(response.Body)
	x.said("body %s, error %v", digest(body), err != nil)
	x.said("trailer\n    %s", notedHeader(response.Trailer))
}

// pair is two members over one protocol between members: n2 owns every key.
type pair struct {
	*fleet
	addrs []string
	now   atomic.Pointer[exchange]
	roots *x509.CertPool
}

// brokenPath is the path of requests that may reach the handler after their exchange.
const brokenPath = "/k/broken"

// newPair starts two members whose servers take HTTP/1.1 and HTTP/2.
func newPair(t testing.TB, secure bool, edits ...func(*http.Server)) *pair {
	p := &pair{}
	var own client.TLSOptions
	if t, ok := t.(*testing.T); ok && secure {
		ca := testkit.NewAuthority(t, "authority")
		own = ca.Issue("member")
		own.RootCAFile = ca.File
		p.roots = x509.NewCertPool()
		require.True(t, p.roots.AppendCertsFromPEM(testkit.Read(t, ca.File)))
	}
	pool := testkit.NewPool(t, client.PoolOptions{TLS: own})
	p.fleet = newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Del("Member")
		if r.URL.Path == brokenPath {
			_, _ = io.ReadAll(r.Body)
			return
		}
		x := p.now.Load()
		if id := r.Header.Get(exchangeHeader); id != "" && id != x.id() {
			return // the caller has not waited for this handler
		}
		x.enter()
		defer x.leave()
		if x.handle != nil {
			x.handle(x, w, r)
		} else {
			note(x, w, r)
		}
	}, func(o *route.Options) {
		o.Patience, o.Transport = option.None, pool
		if secure {
			o.Scheme = "https"
		}
	}, "eu/a", "eu/b")
	for i, s := range p.stations {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &http.Server{Handler: s.router, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetHTTP2(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		for _, edit := range edits {
			edit(server)
		}
		if secure {
			server.TLSConfig, err = transport.ServerTLS(own, testkit.Quiet())
			require.NoError(t, err)
			go func() { _ = server.ServeTLS(l, "", "") }()
		} else {
			go func() { _ = server.Serve(l) }()
		}
		t.Cleanup(func() { require.NoError(t, server.Close()) })
		p.addrs = append(p.addrs, l.Addr().String())
		p.members[i].Services = map[string]string{"kv": l.Addr().String()}
	}
	p.agree(2)
	return p
}

// run runs a behaviour at a member.
func (p *pair) run(t *testing.T, b *behaviour, over way, member int) *exchange {
	x := &exchange{behaviour: b, way: over, t: t, addr: p.addrs[member-1], tls: &tls.Config{RootCAs: p.roots}, began: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Soon)
	defer cancel()
	x.ctx = ctx
	x.ended.L = &x.mu
	x.url = map[bool]string{false: "http://", true: "https://"}[over.secure] + x.addr
	tr := &http.Transport{TLSClientConfig: x.tls, Protocols: new(http.Protocols), MaxResponseHeaderBytes: 1 << 20, ExpectContinueTimeout: time.Minute, DisableCompression: true}
	tr.Protocols.SetHTTP1(over.major == 1)
	tr.Protocols.SetHTTP2(over.major == 2)
	tr.Protocols.SetUnencryptedHTTP2(over.major == 2)
	defer tr.CloseIdleConnections()
	x.client = &http.Client{Transport: tr, CheckRedirect: p.client.CheckRedirect}
	p.now.Store(x)
	if b.send != nil {
		b.send(x)
	} else {
		x.do(x.request("GET", "/k", nil))
	}
	x.idle()
	return x
}

// TestAForwardedRequestIsTheSameRequest runs the table of behaviours. docs/routing.md lists
// what may differ.
func TestAForwardedRequestIsTheSameRequest(t *testing.T) {
	full := os.Getenv("CLUSTERKIT_SIM_FULL") != ""
	for _, secure := range []bool{false, true} {
		table := slices.Concat(requestBehaviours(), streamBehaviours(), endBehaviours())
		if !secure || full { // TLS does not change what a handler answers
			table = append(table, answerBehaviours()...)
		}
		if secure && testing.Short() {
			break
		}
		p := newPair(t, secure)
		for _, over := range ways {
			for i := range table {
				if b := &table[i]; over.secure == secure && (b.only == nil || b.only(over)) {
					t.Run(over.name+"/"+b.name, func(t *testing.T) {
						direct, forwarded := p.run(t, b, over, 2), p.run(t, b, over, 1)
						if b.differs != nil {
							b.differs(t, direct, forwarded)
							return
						}
						require.Equal(t, strings.Join(direct.handler, "\n"), strings.Join(forwarded.handler, "\n"), "what the handler saw")
						require.Equal(t, strings.Join(direct.caller, "\n"), strings.Join(forwarded.caller, "\n"), "what the caller got")
						require.Equal(t, direct.runs.Load(), forwarded.runs.Load(), "executions")
					})
				}
			}
		}
	}
}
