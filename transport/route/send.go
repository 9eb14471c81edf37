package route

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostStale is the number of connections of a pool that may be found closed by the
	// other side before the member counts as unreachable.
	mostStale = 16
	// watchAfter is how long an attempt waits for an answer at most before the router checks
	// whether the member is still in the view. Most answers come sooner.
	watchAfter = 250 * time.Millisecond
	// connectWithin is how long an attempt waits for a connection. All connections of
	// the pool may be busy, or the address may not answer, while the next owner does.
	// The time is sufficient for a TLS handshake with a far region. The dial goes on,
	// for later requests.
	connectWithin = 2 * time.Second
)

// errLeft says that a member has left the view, or has started again, before it
// answered.
var errLeft = errors.New("route: the member left before it answered")

// errNoConnection says that there was no connection in time. Nothing was sent.
var errNoConnection = errors.New("route: no connection within " + connectWithin.String())

// errRepeated says that http.Transport was about to send a request again by itself.
var errRepeated = errors.New("route: the connection broke before an answer came")

// once sends a request to a candidate and waits for the head of the answer, for as long
// as the candidate is in the view. The other side may have closed an idle connection
// before anything was written to it. Then once takes the next one. sent is false when
// there was a connection and nothing was written to it.
func (j *journey) once(ctx context.Context, s *sending, out *http.Request, c candidate) (response *http.Response, sent bool, err error) {
	s.to, s.cutOff, s.shared = c, j.cutOff, out.ProtoMajor > 1
	s.single = j.cargo.none && out.ProtoMajor == 1 && isSafe(out.Method)
	ctx, s.cancel = context.WithCancelCause(ctx)
	j.engine.watches.add(s)
	defer s.end()
	s.trace = httptrace.ClientTrace{GetConn: s.getConn, GotConn: s.gotConn, WroteHeaders: s.wroteHeaders, Got1xxResponse: j.informed}
	s.Context = httptrace.WithClientTrace(ctx, &s.trace)
	if out.Context() != s {
		out = out.WithContext(s)
	}
	for range mostStale {
		j.cargo.load(out)
		response, err = j.engine.sender.RoundTrip(out)
		if !s.settled.CompareAndSwap(false, true) { // the watch or the trace has ended it
			if err == nil {
				_ = response.Body.Close()
			}
			err = context.Cause(ctx)
			return nil, errors.Is(err, errRepeated) || s.sent() && (s.connected.Load() || !errors.Is(err, errNoConnection)), err
		}
		if err == nil && response.StatusCode != http.StatusSwitchingProtocols {
			s.body, response.Body = response.Body, s
		}
		if err == nil || s.sent() {
			return response, true, err
		}
		if ctx.Err() != nil || !j.cargo.unload() {
			break
		}
		s.settled.Store(false)
		s.barred.Store(false)
	}
	return nil, false, err
}

// sending is the context of an attempt, its progress, and then the body of its answer. A
// round tripper that does not call the trace counts as one that has sent the request.
type sending struct {
	context.Context // of the request, with the trace
	engine          *engine
	to              candidate
	cancel          context.CancelCauseFunc
	trace           httptrace.ClientTrace

	looking, connected, wrote atomic.Bool
	http2                     atomic.Bool // the last connection speaks it
	barred                    atomic.Bool // the connection came too late, and nothing can be written to it
	shared                    bool        // the connection carries other requests too
	single                    bool        // net/http would send the request again after its connection broke

	settled atomic.Bool // by an answer, an error, the watch or the trace

	began          time.Time
	next, previous *sending // in the list of the engine's watches, whose lock guards them

	mu    sync.Mutex // guards ended and over
	ended bool
	over  chan struct{} // closed when the attempt has ended; nil: nothing waits for that

	body   io.ReadCloser
	failed error // of body
	cutOff func()
}

// end ends the wait of the watch.
func (s *sending) end() {
	s.engine.watches.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.over != nil {
		close(s.over)
	}
}

// waits returns a channel that is closed when the attempt has ended, or nil if it has.
func (s *sending) waits() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.over = make(chan struct{})
	return s.over
}

// Read implements [io.Reader]. It returns an error alone, after the bytes before it.
func (s *sending) Read(b []byte) (int, error) {
	if s.failed != nil {
		if s.cutOff != nil {
			s.cutOff()
		}
		return 0, s.failed
	}
	n, err := s.body.Read(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	s.failed = err
	if n == 0 {
		return s.Read(b)
	}
	return n, nil
}

// Close implements [io.Closer]. HTTP/2 would wait for the body of the request, which its
// caller may not send before it has the whole answer.
func (s *sending) Close() error {
	s.cancel(errClosed)
	return s.body.Close()
}

// errClosed says that the answer was read.
var errClosed = errors.New("route: the body of the answer was closed")

// getConn ends an attempt that http.Transport is about to repeat. It repeats a read without
// a body after the connection broke, and the read may have run. The router itself counts
// how often a request may run. The transport of HTTP/2 repeats only what has not run.
func (s *sending) getConn(string) {
	s.looking.Store(true)
	if s.single && s.wrote.Load() && !s.http2.Load() && s.settled.CompareAndSwap(false, true) {
		s.cancel(errRepeated)
	}
}

func (s *sending) wroteHeaders() { s.wrote.Store(true) }

// gotConn closes a connection that comes after the attempt was ended for want of one. The
// transport would write the request to it, although its context has ended. A connection of
// HTTP/2 carries other requests too; there the request may run.
func (s *sending) gotConn(info httptrace.GotConnInfo) {
	s.connected.Store(true)
	if s.single || s.settled.Load() {
		c, ok := info.Conn.(interface{ ConnectionState() tls.ConnectionState })
		s.http2.Store(ok && c.ConnectionState().NegotiatedProtocol == "h2")
	}
	if !s.settled.Load() || info.Conn == nil || s.shared || s.http2.Load() {
		return
	}
	s.barred.Store(true)
	_ = info.Conn.Close()
}

func (s *sending) sent() bool { return !s.barred.Load() && (s.wrote.Load() || !s.connected.Load()) }

// watch ends an attempt that must not go on. The context of an attempt that was answered
// goes on: the body of the answer is read under it.
func (s *sending) watch() {
	if err := s.trouble(); err != nil && s.settled.CompareAndSwap(false, true) {
		s.cancel(err)
	}
}

// trouble waits for a reason to end an attempt, and returns nil when it has ended by
// itself. The reasons are that its member is no longer in the view, and that there is no
// connection in time.
func (s *sending) trouble() error {
	over := s.waits()
	if over == nil {
		return nil
	}
	late := time.NewTimer(connectWithin - time.Since(s.began))
	defer late.Stop()
	for {
		changed := s.engine.cluster.Changed()
		if m := s.engine.cluster.View().Member(s.to.id); m == nil || m.Start != s.to.start {
			return errLeft
		}
		select {
		case <-changed:
		case <-late.C:
			if s.looking.Load() && !s.connected.Load() {
				return errNoConnection
			}
		case <-over:
			return nil
		}
	}
}
