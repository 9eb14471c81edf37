package route

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// forwarding is a journey between a caller and a reverse proxy. It is the transport of
// its own proxy, and the writer to which the proxy writes. This is cheaper than finding
// the journey in the request's context, for which the request would have to be copied.
type forwarding struct {
	journey
	router *Router
	proxy  httputil.ReverseProxy
	writer http.ResponseWriter
	// timeouts are those of the server of the caller.
	timeouts timeouts

	mu    sync.Mutex
	ended bool // the round trip: informational answers come too late
	asked bool // the caller for its body, with 100 Continue
	// flushes is true when the owner has sent the head of its answer before it knew the
	// length of the body.
	flushes  bool
	closes   bool       // the connection of the caller, after the answer
	flushing sync.Mutex // the timer of the proxy flushes too
	switched io.Closer  // the connection of an owner that has switched protocols; nil: there is none
}

// flushWithin is how long a part of an answer of a known length waits for the rest. An answer
// of an unknown length does not wait.
const flushWithin = 5 * time.Millisecond

// forward sends a request to an owner.
func (rt *Router) forward(w http.ResponseWriter, r *http.Request, q question, view View) {
	f := &forwarding{
		router: rt, proxy: rt.proxy, writer: w,
		journey: journey{engine: rt.engine, request: r, key: q.key, policy: q.policy, form: formOf(r)},
	}
	if rt.foreign && r.Header["Accept-Encoding"] == nil {
		f.form |= withoutCoding
	}
	f.informed, f.cutOff = f.inform, f.flush
	f.cargo.pack(r, rt.options.MaxReplayBytes)
	if r.Header["Expect"] != nil {
		f.cargo.asks = f.asks
	}
	rt.budget.Deposit()
	f.timeouts.begin(w, r)
	defer f.timeouts.end()
	f.plan(view)
	f.proxy.Transport, f.proxy.ErrorHandler = f, f.giveUp
	f.proxy.ServeHTTP(f, r)
	if f.closes && !f.cargo.ended() {
		f.hangUp()
	}
}

// rewrite makes the outgoing request from the incoming one.
func (rt *Router) rewrite(p *httputil.ProxyRequest) {
	in, out := p.In, p.Out
	strip(out.Header) // the client may have sent them
	if rt.options.TrustForwarded {
		out.Header["X-Forwarded-For"] = in.Header["X-Forwarded-For"]
	}
	p.SetXForwarded()
	if rt.options.TrustForwarded {
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
			if values := in.Header[name]; len(values) > 0 {
				out.Header[name] = values
			}
		}
	}
	// The router is a part of the service, and not a proxy to which this is addressed.
	if values := in.Header["Proxy-Authorization"]; values != nil {
		out.Header["Proxy-Authorization"] = values
	}
	out.URL.Scheme = rt.options.Scheme
	restore(out.URL, in)
	// A caller may name several protocols, and the proxy repeats the first header alone.
	if values := in.Header["Upgrade"]; out.Header["Upgrade"] != nil {
		out.Header["Upgrade"] = values
	}
	out.Trailer = in.Trailer // the same map, whose values arrive while the body is read
}

// restore gives a URL the target with which the request came. Handlers around this
// router may have removed a prefix of the path; on the other member the same handlers
// remove it again. The proxy changes queries that net/url cannot parse. So the handler
// sees the same target on both members.
func restore(u *url.URL, in *http.Request) {
	u.RawQuery = in.URL.RawQuery
	target := in.RequestURI
	if target == "" || u.RequestURI() == target && u.Host == "" {
		return
	}
	original, err := url.ParseRequestURI(target)
	if err != nil {
		return
	}
	u.Path, u.RawPath, u.RawQuery, u.ForceQuery = original.Path, original.RawPath, original.RawQuery, original.ForceQuery
	// It may have the absolute form, and characters that net/url would escape. A path that
	// begins with // cannot be opaque.
	if path, _, _ := strings.Cut(target, "?"); u.RequestURI() != target && !strings.HasPrefix(path, "//") {
		u.Opaque = path
	}
}

// RoundTrip implements [http.RoundTripper] for the proxy.
func (f *forwarding) RoundTrip(out *http.Request) (*http.Response, error) {
	response, err := f.send(out)
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	switch {
	case err != nil:
	case response.StatusCode == http.StatusSwitchingProtocols:
		f.switched = response.Body
		switches(out, response)
	default:
		f.receive(response)
		f.answersEarly(response)
	}
	return response, err
}

// answersEarly lets an answer of the owner pass although the body of the request has not come to its
// end, and may never do. A server reads the rest first, unless the handler answers while it reads, or
// the connection is to be closed.
func (f *forwarding) answersEarly(response *http.Response) {
	switch {
	case f.request.ProtoMajor != 1 || f.cargo.ended():
	case response.Close:
		f.closeAfter() // the proxy leaves out what the owner has said
	default:
		_ = http.NewResponseController(f.writer).EnableFullDuplex()
	}
}

// switches lets the proxy pass on an answer that switches protocols, as the handler has
// written it. The proxy refuses another protocol than the first that the caller names. To the
// answer to a POST it adds a length.
func switches(out *http.Request, response *http.Response) {
	for _, h := range []http.Header{out.Header, response.Header} {
		h["Connection"] = []string{"Upgrade"}
	}
	out.Header["Upgrade"] = response.Header["Upgrade"]
	response.Request = nil
}

// receive prepares the writer for an answer, so that what the server or handlers around
// the router would add is not added twice, nor where the owner has left it out.
func (f *forwarding) receive(response *http.Response) {
	h := f.writer.Header()
	if len(h) > 0 {
		for name := range response.Header {
			delete(h, name)
		}
	}
	for _, name := range []string{"Date", "Content-Type"} {
		if response.Header[name] == nil {
			h[name] = nil
		}
	}
	if values := response.Header["Proxy-Authenticate"]; values != nil {
		h["Proxy-Authenticate"] = values // the proxy would remove it
	}
	if values := response.Header["Trailer"]; values != nil { // no trailer can follow
		h["Trailer"] = values
	}
	if values := response.Header["Upgrade"]; values != nil && f.request.ProtoMajor == 1 {
		h["Upgrade"], h["Connection"] = values, []string{"Upgrade"} // the status 426 requires these headers
	}
	f.flushes = response.ContentLength < 0 && f.request.Method != http.MethodHead
	if response.ContentLength > 0 && f.request.Method != http.MethodHead && !isHere(response) {
		f.proxy.FlushInterval = flushWithin
	}
}

// isHere reports whether the whole body of an answer came with its head.
func isHere(response *http.Response) bool {
	s, ok := response.Body.(*sending)
	return ok && s.traced == nil && int64(s.direct.Buffered()) >= response.ContentLength
}

// asks records that the server asks the caller for its body, because the body is read.
func (f *forwarding) asks() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = true
}

// inform passes an informational answer on. The header of the final answer stays. A panic of a
// middleware, in a goroutine of the transport, would end the process, and leaves the answer out.
func (f *forwarding) inform(code int, header textproto.MIMEHeader) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || code == http.StatusContinue && f.asked {
		return nil
	}
	f.asked = f.asked || code == http.StatusContinue && f.cargo.asks != nil
	h := f.writer.Header()
	final := maps.Clone(h)
	maps.Copy(h, http.Header(header))
	f.timeouts.add(1)
	defer func() {
		if v := recover(); v != nil {
			f.router.options.Logger.ErrorContext(f.request.Context(), "panic while writing an informational answer",
				"status", code, "panic", v, "stack", string(debug.Stack()))
		}
		f.timeouts.add(-1)
		clear(h)
		maps.Copy(h, final)
	}()
	f.writer.WriteHeader(code)
	return nil
}

// Header implements [http.ResponseWriter] for the proxy.
func (f *forwarding) Header() http.Header { return f.writer.Header() }

// Write implements [http.ResponseWriter] for the proxy.
func (f *forwarding) Write(b []byte) (int, error) {
	f.timeouts.add(1)
	defer f.timeouts.add(-1)
	return f.writer.Write(b)
}

// WriteHeader implements [http.ResponseWriter] for the proxy.
func (f *forwarding) WriteHeader(status int) {
	f.writer.WriteHeader(status)
	if f.flushes {
		f.flush()
	}
}

// flush sends what was written. Otherwise it is lost when the proxy aborts the request,
// because the answer of the owner was cut off.
func (f *forwarding) flush() { _ = f.FlushError() }

// FlushError lets [http.ResponseController] flush the writer of the caller.
func (f *forwarding) FlushError() error {
	f.flushing.Lock()
	defer f.flushing.Unlock()
	f.timeouts.add(1)
	defer f.timeouts.add(-1)
	return http.NewResponseController(f.writer).Flush()
}

// Unwrap lets [http.ResponseController] reach the writer of the caller.
func (f *forwarding) Unwrap() http.ResponseWriter { return f.writer }

// Hijack returns the connection of the caller. What the caller has sent already is read
// from the connection too.
func (f *forwarding) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(f.writer).Hijack()
	if err != nil {
		return conn, rw, err
	}
	f.timeouts.forget()
	early, _ := rw.Peek(rw.Reader.Buffered())
	return &upgraded{Conn: conn, early: append([]byte(nil), early...)}, rw, nil
}

// closesWithin is how long a caller may go on to send its body after the answer, so that it can
// read the answer.
const closesWithin = time.Second

// closeAfter makes the server close the connection of the caller after the answer.
func (f *forwarding) closeAfter() {
	f.closes = true
	f.writer.Header()["Connection"] = []string{"close"}
}

// hangUp sends the answer to a caller whose body is still being read, and ends the read. The server
// would lift the deadline of a read that is under way when its handler returns.
func (f *forwarding) hangUp() {
	f.flush()
	f.cargo.unload() // no other read begins
	if http.NewResponseController(f.writer).SetReadDeadline(time.Now().Add(closesWithin)) == nil {
		f.cargo.reading.Lock()
		f.cargo.reading.Unlock() //nolint:staticcheck // the read has ended
	}
}

// giveUp answers a request that no owner has answered.
func (f *forwarding) giveUp(_ http.ResponseWriter, _ *http.Request, err error) {
	rt, w, r := f.router, f.writer, f.request
	if errors.Is(err, errServeHere) {
		f.timeouts.end()
		if f.cargo.source != nil {
			r = r.WithContext(r.Context()) // a copy: the caller's request stays as it is
			r.Body = f.cargo.open()
		}
		rt.serve(w, r, f.placement, &mark{policy: f.policy})
		return
	}
	if r.ProtoMajor == 1 && f.cargo.waits() {
		f.closeAfter() // otherwise the server waits for the caller too
	}
	if f.switched != nil {
		_ = f.switched.Close() // the proxy may leave it open
	}
	if errors.Is(err, context.Canceled) {
		// The caller is gone. The status must not look like a success to middleware.
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		p := wire.New(wire.BodyTooLarge, http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLong.Limit)
		p.Bound = tooLong.Limit
		refuse(w, r, p)
		return
	}
	if p, ok := errors.AsType[*usercode.Error](err); ok {
		if p.Panic != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			rt.options.Logger.ErrorContext(r.Context(), "panic while reading the body of a request",
				"method", r.Method, "path", r.URL.Path, "panic", p.Panic, "stack", p.Stack)
		}
		panic(p.Panic) // as the handler would
	}
	if errors.Is(err, errBody) {
		refuse(w, r, wire.New(wire.Body, http.StatusBadRequest, "the body cannot be read"))
		return
	}
	if errors.Is(err, errInvalid) {
		p := wire.New(wire.Blank, http.StatusBadRequest, "the request cannot be sent to the member that answers for the key, and has not run")
		if isTooLong(err) {
			p = wire.New(wire.Blank, http.StatusRequestHeaderFieldsTooLarge, "the header of the request is longer than the member that answers for the key takes, and the request has not run")
		}
		refuse(w, r, p)
		return
	}
	rt.counts.gaveUp.Add(1)
	p, ok := errors.AsType[*api.Refusal](err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded):
		p = wire.New(api.RefusalDeadline, http.StatusGatewayTimeout, "the time that the caller gave was over before an answer came: the request may have run")
	default: // an upgrade that failed
		p = wire.New(api.RefusalBroken, http.StatusBadGateway, "the member that answers for the key cannot be talked to")
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	refuse(w, r, p)
}
