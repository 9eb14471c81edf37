package route

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	// mostStale is the number of connections of a pool that may be found closed by the
	// other side before the member counts as unreachable.
	mostStale = 16
	// watchAfter is how long an attempt waits for an answer before the router checks
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

// once sends a request to a candidate and waits for the head of the answer, for as long
// as the candidate is in the view. The other side may have closed an idle connection
// before anything was written to it. Then once takes the next one. sent is false when
// there was a connection and nothing was written to it.
func (j *journey) once(out *http.Request, c candidate) (response *http.Response, sent bool, err error) {
	ctx, cancel := context.WithCancelCause(out.Context())
	s := sending{over: make(chan struct{})}
	defer close(s.over)
	watch := time.AfterFunc(watchAfter, func() {
		if err := j.engine.watch(c, &s); err != nil && s.settled.CompareAndSwap(false, true) {
			cancel(err)
		}
	})
	defer watch.Stop()
	ctx = httptrace.WithClientTrace(ctx, s.trace())
	for range mostStale {
		j.cargo.load(out)
		response, err = j.engine.sender.RoundTrip(out.WithContext(ctx))
		if !s.settled.CompareAndSwap(false, true) { // the watch has ended it
			if err == nil {
				_ = response.Body.Close()
			}
			err = context.Cause(ctx)
			return nil, s.sent() && (s.connected.Load() || !errors.Is(err, errNoConnection)), err
		}
		if err == nil || s.sent() {
			return response, true, err
		}
		if ctx.Err() != nil || !j.cargo.unload() {
			break
		}
		s.settled.Store(false)
	}
	return nil, false, err
}

// watch returns why an attempt must end, or nil when it has ended by itself: its member is
// no longer in the view, or there is no connection in time. The context of an attempt that
// was answered goes on: the body of the answer is read under it.
func (e *engine) watch(c candidate, s *sending) error {
	late := time.NewTimer(connectWithin - watchAfter)
	defer late.Stop()
	for {
		changed := e.cluster.Changed()
		if m := memberOf(e.cluster.View().Members, c.id); m == nil || m.Start != c.start {
			return errLeft
		}
		select {
		case <-changed:
		case <-late.C:
			if s.looking.Load() && !s.connected.Load() {
				return errNoConnection
			}
		case <-s.over:
			return nil
		}
	}
}

// sending is the progress of an attempt. A round tripper that does not call the trace
// counts as one that has sent the request.
type sending struct {
	looking, connected, wrote atomic.Bool

	settled atomic.Bool   // by an answer, an error or the watch
	over    chan struct{} // closed when the attempt has ended
}

func (s *sending) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { s.looking.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { s.connected.Store(true) },
		WroteHeaders: func() { s.wrote.Store(true) },
	}
}

func (s *sending) sent() bool { return s.wrote.Load() || !s.connected.Load() }
