package route

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
)

const (
	// watchAfter is how long an attempt waits for an answer at most before the router checks
	// whether the member is still in the view. Most answers come sooner.
	watchAfter = 250 * time.Millisecond
	// connectWithin is how long an attempt waits for a connection. The address may not answer,
	// while the next owner does. The time is sufficient for a TLS handshake with a far region.
	// The dial goes on, for later requests.
	connectWithin = 2 * time.Second
	// endsWithin is how long after its membership the process of a member that leaves may go on to answer a request that
	// may run once more.
	endsWithin = 30 * time.Second
)

// errLeft says that a member has failed, or has started again, before it answered.
var errLeft = errors.New("route: the member left the view before it answered")

// errNoConnection says that there was no connection in time. Nothing was sent.
var errNoConnection = errors.New("route: no connection within " + connectWithin.String())

// once sends a request to a candidate and waits for the head of the answer, for as long
// as the candidate is in the view. The other side may have closed an idle connection
// before anything was written to it. Then the next one is taken. sent is false when
// there was a connection and nothing was written to it.
func (j *journey) once(ctx context.Context, s *sending, out *http.Request, c candidate) (response *http.Response, sent bool, err error) {
	s.to, s.cutOff = c, j.cutOff
	var lane *direct.Transport
	if pool := j.engine.pool; pool != nil && !direct.Traced(j.request) {
		lane = pool.Direct(out)
	}
	if lane == nil {
		s.traced = newTraced(ctx, j, s, out)
	}
	j.engine.watches.add(s)
	defer s.end()
	if lane == nil {
		return j.sendTraced(s, out)
	}
	s.direct.Context, s.direct.Informed = ctx, j.informed
	response, err = lane.RoundTrip(out, &s.direct)
	if err != nil {
		return nil, s.direct.Sent(), err
	}
	if !s.settled.CompareAndSwap(false, true) { // the watch has ended it
		_ = response.Body.Close()
		return nil, true, errLeft
	}
	if response.Body != http.NoBody {
		s.body, response.Body = response.Body, s
	}
	return response, true, nil
}

// sending is the progress of an attempt, and then the body of its answer.
type sending struct {
	engine  *engine
	to      candidate
	cargo   *cargo
	repeats bool      // the request may run once more
	mark    [1]string // the value of its header
	// traced is the progress over a round tripper that is not ours; nil: direct is used.
	traced  *traced
	direct  direct.Attempt
	settled atomic.Bool // by an answer, an error, the watch or the trace

	began          time.Time
	next, previous *sending // in the list of the engine's watches, whose lock guards them

	mu    sync.Mutex // guards ended and over
	ended bool
	over  chan struct{} // closed when the attempt has ended; nil: nothing waits for that

	body   io.ReadCloser
	failed error // why reading body failed
	cutOff func()
	// free ends the context of the attempt, which the context of the request may outlast for
	// long; nil: the attempt has none of its own.
	free context.CancelFunc
}

// abort ends the attempt.
func (s *sending) abort(err error) {
	if s.traced != nil {
		s.traced.cancel(err)
	} else {
		s.direct.End(err)
	}
}

// connects reports whether the attempt still waits for a connection.
func (s *sending) connects() bool {
	if s.traced != nil {
		return s.traced.looking.Load() && !s.traced.connected.Load()
	}
	return !s.direct.Connected()
}

// invalid reports, of an attempt that failed over a pool, whether the pool has looked for no
// connection, or could not write the request to one: the request cannot be sent to any member.
func (s *sending) invalid() bool {
	if s.traced != nil {
		return !s.traced.looking.Load()
	}
	return s.direct.Invalid()
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
	if err == nil {
		return n, nil
	}
	if s.free != nil {
		s.free()
	}
	if err == io.EOF {
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
	if s.traced != nil {
		s.traced.cancel(errClosed)
	}
	err := s.body.Close()
	if s.free != nil {
		s.free()
	}
	return err
}

// watch ends an attempt that must not go on. The context of an attempt that was answered
// goes on: the body of the answer is read under it.
func (s *sending) watch() {
	if err := s.trouble(); err != nil && s.settled.CompareAndSwap(false, true) {
		s.abort(err)
	}
}

// trouble waits for a reason to end an attempt, and returns nil when it has ended by
// itself. The reasons are that its member has failed, that there is no connection in time,
// and that the connection broke while the caller sends no more of its body. A member that
// announces that it leaves, also for a restart, answers what it has before its process ends.
// It may freeze meanwhile, so what may run once more does not wait for longer than endsWithin.
func (s *sending) trouble() error {
	over := s.waits()
	if over == nil {
		return nil
	}
	late := time.NewTimer(connectWithin - time.Since(s.began))
	defer late.Stop()
	var look, left <-chan time.Time
	if s.traced != nil && !s.cargo.none {
		ticker := time.NewTicker(brokenWithin)
		defer ticker.Stop()
		look = ticker.C
	}
	stuck := false
	leaves := s.to.leaves
	for {
		changed := s.engine.cluster.Changed()
		m := s.engine.cluster.View().Member(s.to.id)
		switch {
		case m != nil && m.Start == s.to.start:
			leaves = isLeaving(m)
		case !leaves:
			return errLeft
		case left == nil && s.repeats:
			left = time.After(endsWithin)
		}
		select {
		case <-changed:
		case <-late.C:
			if s.connects() {
				return errNoConnection
			}
		case <-left:
			if s.cargo.isWhole() {
				return errLeft
			}
		case <-look:
			before := stuck
			if stuck = s.traced.stuck(); stuck && before {
				return errBroken
			}
		case <-over:
			return nil
		}
	}
}
