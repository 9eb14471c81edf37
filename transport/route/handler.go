package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Cluster is the source of a [Router]'s views. Both methods are called concurrently,
// View for every request. They must be fast and must not block.
type Cluster interface {
	// View returns this member's present view, as one consistent value.
	View() View
	// Changed returns a channel that is closed when View may return another view than
	// when Changed was called.
	Changed() <-chan struct{}
}

// Router is a handler around a service's own handler. It runs the own handler for the
// requests that this member should answer, and forwards all others to the member that
// should answer them. Put a router in front of the service on every member.
//
//	request ── has no key ────────────────────────▶ own handler
//	        ── this member should answer ─────────▶ own handler
//	        ── came from another router ──────────▶ 421
//	        ── otherwise ──▶ an owner's router ───▶ the owner's handler
//
// A forwarded request is never forwarded again: a member that does not own the key by
// its own view refuses it with 421 and its token, without running the handler. The
// sender then tries the next owner. When all have refused, it waits until its view has
// changed or theirs may have, and tries them again, for as long as [Options.Patience].
// So different views cost time, and never make a loop.
//
// A request runs at most once, unless it is idempotent: then it may run once more after
// a connection broke under it. Every other request is sent again only when it certainly
// has not run: it was refused, or no connection could be made. An owner that could not
// be reached is tried again too, for as long as Options.Patience, with growing pauses,
// and by one of the waiting requests at a time. A request with a body is sent again only
// as long as at most [Options.MaxReplayBytes] of the body were read. The page
// docs/routing.md has a table of all cases.
//
// The caller decides how long an owner may take to answer, by the deadline of the
// request's context or in [api.TimeoutHeader]. The router sends the deadline along, and
// it limits the owner's handler too. Without a deadline, when an owner is frozen or cut
// off while it has a request, the router waits until the cluster has noticed, or the
// connection fails. So give requests a deadline, in a handler around the router.
//
// The handler may be a router too, of another service or cluster. Both then serve one address.
//
// A router that gives up answers with an [api.Refusal]: [api.RefusalNoRing] and
// [api.RefusalNoOwner] (503) when the request has not run, [api.RefusalBroken] (502) and
// [api.RefusalDeadline] (504) when it may have. A call of gRPC gets a status instead, whose
// message is the detail of the refusal.
//
// A handler sees the same request when it was forwarded, and its caller gets the same
// answer: over HTTP/1.1 and HTTP/2, with trailers, informational answers, streams both
// ways at a time, and upgrades such as WebSocket. What may differ is listed in
// docs/routing.md. HTTP/2 in clear, and gRPC with it, needs http.Server.Protocols of the
// service to include it. Forwarded requests have the headers X-Forwarded-For, -Host and
// -Proto. They keep their Host, and the target with which they came, also where a handler
// around the router has removed a prefix of the path.
//
// All methods are safe for concurrent use.
type Router struct {
	*engine
	handler http.Handler
	proxy   httputil.ReverseProxy // the template that each forwarding copies
}

// New returns a router around a handler. It starts no goroutine. When Options.Transport
// is nil, Close must be called at the end. New returns an error for a nil cluster or
// handler, and an error that joins an [option.Error] for every option that is missing
// or out of bounds.
func New(c Cluster, h http.Handler, o Options) (*Router, error) {
	switch {
	case c == nil:
		return nil, errors.New("route: New: the cluster is nil: must be set")
	case h == nil:
		return nil, errors.New("route: New: the handler is nil: must be set")
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("route: options: %w", err)
	}
	e, err := newEngine(c, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("route: %w", err)
	}
	e.serves = true
	rt := &Router{engine: e, handler: h}
	rt.proxy = httputil.ReverseProxy{
		Rewrite:    rt.rewrite,
		BufferPool: newBuffers(),
		ErrorLog:   slog.NewLogLogger(e.options.Logger.Handler(), slog.LevelDebug),
	}
	return rt, nil
}

// Close closes the router's own connections that carry no request. Requests under way
// go on. Close does not close Options.Transport. It may be called any number of times,
// and returns nil.
func (rt *Router) Close() error { return rt.close() }

// ServeHTTP answers a request or forwards it. A panic of Options.Key or Policy becomes
// a 500. A panic of the own handler passes through.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if ctx, cancel, bounded := withTimeout(r); bounded {
		defer cancel()
		r = r.WithContext(ctx)
	}
	if r.Method == "PRI" && r.RequestURI == "*" {
		// A client begins HTTP/2, and the server in front passes it on as a request.
		w.Header().Set("Connection", "close")
		refuse(w, r, wire.New(wire.Blank, http.StatusHTTPVersionNotSupported, "this server does not speak HTTP/2 in clear"))
		return
	}
	if values, ok := r.Header[wire.ForwardedHeader]; ok {
		rt.receive(w, r, values)
		return
	}
	q, ok := rt.question(w, r)
	if !ok {
		return
	}
	if !q.keyed {
		rt.counts.unkeyed.Add(1)
		rt.handler.ServeHTTP(w, handed(r.Context(), r))
		return
	}
	if tooLong(w, r) {
		return
	}
	view := rt.cluster.View()
	placement := view.Ring.Lookup(q.key)
	switch {
	case view.MayAnswer(placement, q.policy, false):
		rt.serve(w, r, placement, &mark{policy: q.policy})
	case placement.Len() == 0:
		refuse(w, r, wire.NoRing(w))
	case r.Method == http.MethodConnect:
		refuse(w, r, wire.New(wire.Blank, http.StatusNotImplemented,
			"a CONNECT cannot be forwarded, so connect to an owner of the key, such as the member %q: the request has not run", placement.At(0).ID()))
	default:
		rt.forward(w, r, q, view)
	}
}

// question holds what Key and Policy return for a request.
type question struct {
	key    string
	keyed  bool
	policy Policy
}

// question calls Key and Policy, and answers the request itself when one of them
// panics.
func (rt *Router) question(w http.ResponseWriter, r *http.Request) (q question, ok bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, isErr := v.(error); isErr && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler) // the handler asks to close the connection
		}
		rt.options.Logger.ErrorContext(r.Context(), "panic while finding the key of a request",
			"method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		refuse(w, r, wire.Internal())
	}()
	// CONNECT names a host, and no resource, unless it has a path, as for a WebSocket over HTTP/2 (RFC 8441).
	if r.Method == http.MethodConnect && r.URL.Path == "" {
		return question{}, true
	}
	if q.key, q.keyed = rt.options.Key(r); q.keyed {
		q.policy = rt.options.Policy(r)
	}
	return q, true
}

// serve runs the own handler for a request with a mark. The mark names no sender if no
// member has forwarded the request.
func (rt *Router) serve(w http.ResponseWriter, r *http.Request, p ring.Placement, m *mark) {
	rt.counts.attempts.Add(tally.Answered, tally.Local)
	a := &arrival{Context: r.Context(), engine: rt.engine, placement: p, policy: m.policy, from: m.from, token: [1]string{textOf(p)}}
	w.Header()[api.TokenHeader] = a.token[:]
	r = handed(a, r)
	if m.from == "" {
		rt.handler.ServeHTTP(w, r)
		return
	}
	m.form.restore(r)
	rt.handler.ServeHTTP(a.answering.around(r, w, m.number), r)
	a.answering.end()
}

// withTimeout limits a request by the caller's timeout header. It ignores a value that
// is not a valid number, because any client can send one.
func withTimeout(r *http.Request) (ctx context.Context, cancel context.CancelFunc, bounded bool) {
	values := r.Header[api.TimeoutHeader]
	if len(values) == 0 {
		return nil, nil, false
	}
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || ms < 0 || ms > int64(longestTimeout/time.Millisecond) {
		return nil, nil, false
	}
	ctx, cancel = context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
	return ctx, cancel, true
}

// longestTimeout is the longest wait that a caller can ask for.
const longestTimeout = 24 * time.Hour
