package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
)

// mostStale is the number of connections of a pool that may be found closed by the
// other side before the member counts as unreachable.
const mostStale = 16

// errRepeated says that http.Transport was about to send a request again by itself.
var errRepeated = errors.New("route: the connection broke before an answer came")

// errClosed says that the answer was read.
var errClosed = errors.New("route: the body of the answer was closed")

// traced is the context of an attempt over a round tripper such as http.Transport, and its
// progress as the trace tells it. A round tripper that does not call the trace counts as
// one that has sent the request.
type traced struct {
	context.Context // the context of the request, with the trace
	sending         *sending
	cancel          context.CancelCauseFunc
	trace           httptrace.ClientTrace

	looking, connected, wrote atomic.Bool
	http2                     atomic.Bool   // the last connection speaks it
	barred                    atomic.Bool   // the connection is of no use, and nothing can be written to it
	shared                    bool          // the connection carries other requests too
	single                    bool          // net/http would send the request again after its connection broke
	begun                     chan struct{} // is told when the request is being written; nil: nobody waits for that

	mu   sync.Mutex
	conn net.Conn // the last one; nil: there is none yet
}

// newTraced returns the context of an attempt.
func newTraced(ctx context.Context, j *journey, s *sending, out *http.Request) *traced {
	t := &traced{sending: s, shared: out.ProtoMajor > 1, single: j.cargo.none && out.ProtoMajor == 1 && isSafe(out.Method)}
	ctx, t.cancel = context.WithCancelCause(ctx)
	t.trace = httptrace.ClientTrace{GetConn: t.getConn, GotConn: t.gotConn, WroteHeaders: t.wroteHeaders, Got1xxResponse: j.informed}
	t.Context = httptrace.WithClientTrace(ctx, &t.trace)
	return t
}

// sendTraced sends an attempt over a round tripper that is not ours.
func (j *journey) sendTraced(s *sending, out *http.Request) (response *http.Response, sent bool, err error) {
	t := s.traced
	defer func() {
		if err != nil || response.StatusCode == http.StatusSwitchingProtocols {
			t.cancel(errClosed) // without this the context stays registered in its parent, which may last for long
		}
	}()
	out = out.WithContext(t)
	for range mostStale {
		j.cargo.load(out)
		response, err = j.roundTrip(t, out)
		if !s.settled.CompareAndSwap(false, true) { // the watch or the trace has ended it
			if err == nil {
				_ = response.Body.Close()
			}
			err = context.Cause(t)
			return nil, errors.Is(err, errRepeated) || t.sent() && (t.connected.Load() || !errors.Is(err, errNoConnection)), err
		}
		if err == nil && response.StatusCode != http.StatusSwitchingProtocols {
			s.body, response.Body = response.Body, s
		}
		if err == nil || t.sent() {
			return response, t.connected.Load() || !t.looking.Load(), err
		}
		if t.Err() != nil || !j.cargo.unload() {
			break
		}
		s.settled.Store(false)
		t.barred.Store(false)
		t.wrote.Store(false)
	}
	return nil, false, err
}

// brokenWithin is how long an attempt waits for the error of the transport after its connection was
// closed, and up to twice that.
const brokenWithin = 500 * time.Millisecond

// errBroken says that the transport has closed the connection and gives no answer.
var errBroken = fmt.Errorf("route: the connection was closed before an answer came: %w", io.ErrUnexpectedEOF)

// stuck reports whether the transport has closed the connection, and waits for the caller to send
// more of the body before it says so.
func (t *traced) stuck() bool {
	t.mu.Lock()
	conn := t.conn
	t.mu.Unlock()
	return direct.IsClosed(conn) && t.sending.cargo.waits()
}

// roundTrip sends an attempt over the sender. http.Transport waits for the end of a read of the body over
// HTTP/1.1, also after its context has ended or the connection broke, and a caller may let that read wait
// for as long as it likes. The attempt does not wait, unless the request may still be unsent. When the
// connection broke, the watch of the attempt ends its context.
func (j *journey) roundTrip(t *traced, out *http.Request) (*http.Response, error) {
	if j.cargo.none || out.ProtoMajor != 1 {
		return j.engine.carry(out)
	}
	type result struct {
		response *http.Response
		err      error
	}
	results := make(chan result, 1)
	t.begun = make(chan struct{}, 1)
	go func() {
		response, err := j.engine.carry(out) //nolint:bodyclose // the caller closes it, or the goroutine below
		results <- result{response, err}
	}()
	select {
	case r := <-results:
		return r.response, r.err
	case <-t.Done():
	}
	if !t.wrote.Load() {
		select {
		case r := <-results:
			return r.response, r.err
		case <-t.begun:
		}
	}
	go func() {
		if r := <-results; r.err == nil {
			_ = r.response.Body.Close()
		}
	}()
	return nil, context.Cause(t)
}

// carry sends a request over the sender. A panic is an error: in a goroutine of the router it would end
// the process.
func (e *engine) carry(out *http.Request) (response *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			e.options.Logger.ErrorContext(out.Context(), "panic in the transport of a router", "panic", v, "stack", string(debug.Stack()))
			response, err = nil, fmt.Errorf("route: the transport panicked: %v", v)
		}
	}()
	return e.sender.RoundTrip(out)
}

// getConn ends an attempt that http.Transport is about to repeat. It repeats a read without
// a body after the connection broke, and the read may have run. The router itself counts
// how often a request may run. The transport of HTTP/2 repeats only what has not run.
func (t *traced) getConn(string) {
	t.looking.Store(true)
	if t.barred.Swap(false) {
		t.wrote.Store(false) // nothing came to the connection
	}
	if t.single && t.wrote.Load() && !t.http2.Load() && t.sending.settled.CompareAndSwap(false, true) {
		t.cancel(errRepeated)
	}
}

func (t *traced) wroteHeaders() {
	t.wrote.Store(true)
	if t.begun != nil {
		select {
		case t.begun <- struct{}{}:
		default:
		}
	}
}

// gotConn closes a connection that comes after the attempt was ended for want of one. The
// transport would write the request to it, although its context has ended. A connection of
// HTTP/2 carries other requests too; there the request may run. It also closes an idle connection
// that the member has closed, which the transport has not noticed yet.
func (t *traced) gotConn(info httptrace.GotConnInfo) {
	t.connected.Store(true)
	t.mu.Lock()
	t.conn = info.Conn
	t.mu.Unlock()
	settled, ended := t.sending.settled.Load(), info.Reused && !t.shared && direct.HasEnded(info.Conn)
	if t.single || settled || ended {
		c, ok := info.Conn.(interface{ ConnectionState() tls.ConnectionState })
		t.http2.Store(ok && c.ConnectionState().NegotiatedProtocol == "h2")
	}
	if !settled && !ended || info.Conn == nil || t.shared || t.http2.Load() {
		return
	}
	t.barred.Store(true)
	_ = info.Conn.Close()
}

func (t *traced) sent() bool { return !t.barred.Load() && (t.wrote.Load() || !t.connected.Load()) }
