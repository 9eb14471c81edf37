package route

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// forwarding is a journey between a caller and a proxy. It is the transport of its own
// proxy. This is cheaper than finding the journey in the request's context, for which
// the request would have to be copied.
type forwarding struct {
	journey
	router *Router
	proxy  httputil.ReverseProxy
}

// RoundTrip implements [http.RoundTripper] for the proxy.
func (f *forwarding) RoundTrip(out *http.Request) (*http.Response, error) { return f.send(out) }

// forward sends a request to an owner.
func (rt *Router) forward(w http.ResponseWriter, r *http.Request, q question, view View) {
	f := &forwarding{router: rt, proxy: rt.proxy, journey: journey{engine: rt.engine, request: r, key: q.key, policy: q.policy}}
	var err error
	if f.cargo, err = pack(r, rt.options.MaxReplayBytes); err != nil {
		if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
			p := wire.New(wire.BodyTooLarge, http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLong.Limit)
			p.Bound = tooLong.Limit
			wire.Refuse(w, r, p)
			return
		}
		wire.Refuse(w, r, wire.New(wire.Body, http.StatusBadRequest, "the body cannot be read"))
		return
	}
	rt.budget.deposit()
	f.plan(view)
	f.proxy.Transport, f.proxy.ErrorHandler = f, f.giveUp
	f.proxy.ServeHTTP(w, r)
}

// rewrite makes the outgoing request from the incoming one.
func (rt *Router) rewrite(p *httputil.ProxyRequest) {
	in, out := p.In, p.Out
	if rt.options.TrustForwarded {
		out.Header["X-Forwarded-For"] = in.Header["X-Forwarded-For"]
	}
	p.SetXForwarded()
	if rt.options.TrustForwarded {
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
			if values := in.Header[name]; len(values) > 0 {
				out.Header[name] = values
			}
		}
	}
	out.URL.Scheme = rt.options.Scheme
	restore(out.URL, in)
	out.Trailer = in.Trailer // the same map: it gets its values while the body is read
}

// restore restores the path and the query of a URL as they were when the request came.
// Handlers around this router may have removed a prefix of the path; on the other
// member the same handlers remove it again. restore also undoes the change that the
// proxy makes to queries that net/url cannot parse. So the handler sees the same
// request on both members.
func restore(u *url.URL, in *http.Request) {
	u.RawQuery = in.URL.RawQuery
	if rest, ok := strings.CutPrefix(in.RequestURI, in.URL.Path); ok {
		if query, asked := strings.CutPrefix(rest, "?"); rest == "" && in.URL.RawQuery == "" || asked && query == in.URL.RawQuery {
			return // no prefix was removed
		}
	}
	if original, err := url.ParseRequestURI(in.RequestURI); err == nil {
		u.Path, u.RawPath, u.RawQuery = original.Path, original.RawPath, original.RawQuery
	}
}

// giveUp answers a request that no owner has answered.
func (f *forwarding) giveUp(w http.ResponseWriter, _ *http.Request, err error) {
	rt := f.router
	if errors.Is(err, errServeHere) {
		r := f.request
		if f.cargo.kept != nil {
			r = r.WithContext(r.Context()) // a copy: the caller's request stays as it is
			r.Body = f.cargo.replay()
		}
		rt.serve(w, r, f.placement, f.policy, "")
		return
	}
	if errors.Is(err, context.Canceled) {
		// The caller is gone. The status must not look like a success to middleware.
		w.WriteHeader(http.StatusServiceUnavailable)
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
	wire.Refuse(w, f.request, p)
}
