package route

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// RoundTripper is an [http.RoundTripper] that sends each request straight to an owner of
// its key, in one hop. It is for processes that make requests: members, and observers,
// which own nothing. On the members of the service a [Router] must stand in front of its
// handler: it checks that the member may answer, and without it no success counts.
//
// The engine is that of Router, with the same options and rules: what is sent again, when
// and how often, zones, the retry budget, hedges, and what the view says of a member.
// These are different:
//
//   - The scheme and the host of the URL do not say where the request goes. The owner's
//     handler gets the host, or Request.Host, as the Host of the request.
//   - Key and Policy get the request of the caller, which has no RemoteAddr and no
//     RequestURI. They must return for it what they return for the request at the members.
//   - A request without a key is sent by Options.Transport, to the host of its URL.
//   - A request whose key this process owns is sent to the address that this process
//     announces, over the network as well.
//   - A body with Request.GetBody can be sent again, whatever its length. Any other can be
//     sent again as long as no more than Options.MaxReplayBytes of it was read.
//   - No header X-Forwarded-For, -Host or -Proto is added.
//
// All methods are safe for concurrent use.
type RoundTripper struct{ engine *engine }

// The reasons for which no owner has answered a request. An error of [RoundTripper] that
// matches one of them with [errors.Is] says that the request certainly has not run. An
// error that matches none leaves open whether it has. [api.Refusal], which errors.As
// finds, says more.
var (
	// ErrNoService says that no owner of the key announces an address of the service.
	ErrNoService = errors.New("route: no owner announces the service")
	// ErrNoOwner says that there is no owner that could be reached.
	ErrNoOwner = errors.New("route: no owner can be reached")
	// ErrRefused says that owners have refused the request, as views differ.
	ErrRefused = errors.New("route: every owner has refused")
)

// NewRoundTripper returns a round tripper for the process whose views c returns. It starts
// no goroutine. When Options.Transport is nil, Close must be called at the end. It returns
// an error for a nil cluster, and an error that joins an [option.Error] for every option
// that is missing or out of bounds.
func NewRoundTripper(c Cluster, o Options) (*RoundTripper, error) {
	if c == nil {
		return nil, errors.New("route: NewRoundTripper: the cluster is nil: must be set")
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("route: options: %w", err)
	}
	e, err := newEngine(c, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("route: NewRoundTripper: %w", err)
	}
	return &RoundTripper{e}, nil
}

// Close closes the round tripper's own connections that carry no request. Requests under
// way go on. Close does not close Options.Transport. It may be called any number of times,
// and returns nil.
func (t *RoundTripper) Close() error { return t.engine.close() }

// CloseIdleConnections closes the connections of Options.Transport that carry no request, where
// that has this method. [http.Client.CloseIdleConnections] calls it.
func (t *RoundTripper) CloseIdleConnections() {
	if c, ok := t.engine.sender.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Stats returns the counts so far. Each is exact. They are read one after the other, so
// they may be of slightly different moments. It does not block.
func (t *RoundTripper) Stats() Stats { return t.engine.stats() }

// RoundTrip sends a request to an owner of its key and returns the answer, as
// [http.RoundTripper] says. It waits up to Options.Patience for an owner, and for an
// answer until the request's context ends. The error of a context that has ended is
// returned as it is.
func (t *RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	e := t.engine
	if r.URL == nil || (r.Body == nil || r.Body == http.NoBody) && r.ContentLength > 0 {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errors.New("route: the request has no URL, or a ContentLength and no body")
	}
	key, keyed := e.options.Key(r)
	if !keyed {
		e.counts.unkeyed.Add(1)
		return e.sender.RoundTrip(r)
	}
	s := &shipment{journey: journey{engine: e, request: r, key: key, policy: e.options.Policy(r)}}
	out := s.pack()
	e.budget.Deposit()
	s.plan(e.cluster.View())
	response, err := s.send(out)
	if err != nil {
		s.close()
		return nil, s.explain(err)
	}
	response.Request = r
	s.answered(response)
	return response, nil
}

// shipment is a journey for a caller in this process, with the body that the caller gave.
type shipment struct {
	journey
	once  sync.Once // closes the body
	given bool      // the body, to an attempt
}

// pack returns the request to send, and takes over the body. The caller's request stays as
// it is.
func (s *shipment) pack() *http.Request {
	r := s.request
	out := r.WithContext(r.Context())
	out.ProtoMajor, out.ProtoMinor = 1, 1 // net/http ignores these fields of a caller's request
	u := *r.URL
	out.URL, u.Scheme = &u, s.engine.options.Scheme
	if out.Host == "" {
		out.Host = r.URL.Host
	}
	// The values are shared: the engine replaces them, and does not change them.
	out.Header = make(http.Header, len(r.Header)+4)
	maps.Copy(out.Header, r.Header)
	strip(out.Header)
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		out.Body = nil
	case r.ContentLength == 0:
		out.ContentLength = -1 // in a caller's request, 0 with a body means that the length is not known
	}
	s.cargo.pack(out, s.engine.options.MaxReplayBytes)
	s.form = sentAs(out)
	if s.cargo.none || r.GetBody == nil {
		return out
	}
	s.cargo.rewind = s.rewind
	return out
}

// rewind returns the body that the caller gave for the first attempt, and another one for each further
// attempt.
func (s *shipment) rewind() (io.ReadCloser, error) {
	if !s.given {
		s.given = true
		return &givenBody{s.request.Body, s}, nil
	}
	s.close()
	return s.request.GetBody()
}

// givenBody is the body that the caller gave, which is closed once.
type givenBody struct {
	io.Reader
	shipment *shipment
}

// Close is a method of io.Closer.
func (b *givenBody) Close() error {
	b.shipment.close()
	return nil
}

// close closes the body that the caller gave.
func (s *shipment) close() {
	s.once.Do(func() {
		if s.request.Body != nil {
			_ = s.request.Body.Close()
		}
	})
}

// answered sees to it that the caller's body is closed. The transport may go on reading it
// while the caller reads the answer.
func (s *shipment) answered(response *http.Response) {
	switch {
	case s.cargo.none || s.cargo.rewind != nil:
	case response.StatusCode == http.StatusSwitchingProtocols || response.Body == http.NoBody:
		s.close()
	default:
		response.Body = &closing{response.Body, s}
	}
}

// closing is the body of an answer. With it, or at its end, the body of the request is
// closed.
type closing struct {
	io.ReadCloser
	shipment *shipment
}

// Read is a method of io.Reader.
func (c *closing) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if err != nil {
		c.shipment.close()
	}
	return n, err
}

// Close is a method of io.Closer.
func (c *closing) Close() error {
	c.shipment.close()
	return c.ReadCloser.Close()
}

// explain returns the error for the caller.
func (s *shipment) explain(err error) error {
	refusal, ok := errors.AsType[*api.Refusal](err)
	if !ok {
		return err // the error of the context or of the body
	}
	s.engine.counts.gaveUp.Add(1)
	if s.broken > 0 {
		return fmt.Errorf("route: %w: %w", refusal, s.cause)
	}
	reason := ErrNoOwner
	switch {
	case s.placement.Len() == 0:
		refusal = wire.New(api.RefusalNoRing, http.StatusServiceUnavailable, "no member is known to own anything yet: the request has not run")
	case s.nameless > 0 && len(s.dead)+s.refused == 0:
		reason = ErrNoService
	case s.refused > 0 && len(s.dead) == 0:
		reason = ErrRefused
	}
	return fmt.Errorf("%w: %w", reason, refusal)
}
