package direct

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"runtime"
	"sync"

	"github.com/clusterkit/clusterkit/transport/internal/slot"
)

// Attempt is one exchange of a request and its answer, and the body of the answer. It is
// used for one call of [Transport.RoundTrip].
type Attempt struct {
	// Context ends the attempt, until the body of the answer was read or closed.
	Context context.Context
	// Informed gets informational answers. An error ends the attempt. Nil: they are
	// dropped, and count towards the bound of the header.
	Informed func(code int, header textproto.MIMEHeader) error

	transport *Transport
	slot      slot.Slot
	addr      string
	body      io.ReadCloser // the body of the answer
	reusable  bool          // the connection, when the body was read to its end
	stop      func() bool   // ends the wait for the end of Context

	mu     sync.Mutex
	conn   *conn // the connection of the exchange
	cause  error // with which the attempt was ended
	over   chan struct{}
	closed bool // the body, by its reader
	left   bool // the slot was given back
	faulty bool // the request, so that it cannot be written
	phase  phase
}

// phase is how far an attempt has come.
type phase uint8

const (
	begun     phase = iota
	connected       // the attempt has a connection
	written         // bytes of the request may have been written
)

// Sent reports whether a part of the request may have been written to a connection.
func (a *Attempt) Sent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase == written
}

// Connected reports whether the attempt has or had a connection.
func (a *Attempt) Connected() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase >= connected
}

// Invalid reports whether the request cannot be written to any connection.
func (a *Attempt) Invalid() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.faulty
}

// Buffered returns how many bytes of the body of the answer have come already. It must not be
// called beside Read.
func (a *Attempt) Buffered() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil {
		return 0
	}
	return a.conn.r.Buffered()
}

// End ends the attempt, whose RoundTrip returns the cause, as does a Read of the body. It has
// no effect when the body was read to its end, or the attempt was ended before.
func (a *Attempt) End(cause error) { _ = a.end(cause) }

// end ends the attempt, and returns the first cause.
func (a *Attempt) end(cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cause == nil {
		a.cause = cmp.Or(cause, errEnded)
		if a.over != nil {
			close(a.over)
		}
		if a.conn != nil {
			_ = a.conn.Close()
		}
	}
	return a.cause
}

// ended returns a channel that is closed when the attempt is ended.
func (a *Attempt) ended() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over == nil {
		a.over = make(chan struct{})
		if a.cause != nil {
			close(a.over)
		}
	}
	return a.over
}

// hold gives the attempt a connection, unless the attempt was ended.
func (a *Attempt) hold(c *conn) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cause != nil {
		return a.cause
	}
	a.conn, a.phase = c, connected
	return nil
}

// RoundTrip sends a request that [Takes] accepts, and returns the answer, whose body is the
// attempt. A connection that the other side has closed before anything was written to it is
// replaced. The context of the request does not matter.
func (t *Transport) RoundTrip(r *http.Request, a *Attempt) (*http.Response, error) {
	a.transport, a.addr = t, r.URL.Host
	if a.Context.Done() != nil {
		a.stop = context.AfterFunc(a.Context, func() { a.End(context.Cause(a.Context)) })
	}
	if err := a.enter(); err != nil {
		return nil, err
	}
	t.underway.Add(1)
	for {
		c := t.take(a.addr)
		if c == nil {
			var err error
			if c, err = t.connect(a, a.addr); err != nil {
				a.leave()
				return nil, err
			}
		}
		if err := a.hold(c); err != nil {
			t.put(a.addr, c) // nothing was written to it
			a.leave()
			return nil, err
		}
		response, err := a.exchange(c, r)
		if err == nil {
			return response, nil
		}
		again := c.used && !c.wrote && c.writeErr != nil
		a.release(false)
		if failure := a.failure(); failure != nil {
			err, again = failure, false
		}
		if !again {
			a.leave()
			return nil, err
		}
	}
}

// enter takes a slot.
func (a *Attempt) enter() error {
	if a.transport.options.Slots.Try(a.addr, &a.slot) {
		return nil
	}
	err := a.transport.options.Slots.Wait(a.Context, a.ended(), a.addr, &a.slot)
	if err == nil {
		return nil
	}
	if a.stop != nil {
		a.stop()
	}
	if failure := a.failure(); failure != nil {
		return failure
	}
	return err
}

// exchange writes the request and reads the head of the answer.
func (a *Attempt) exchange(c *conn, r *http.Request) (*http.Response, error) {
	c.wrote, c.writeErr = false, nil
	c.left = a.transport.options.MaxHeaderBytes
	err := r.Write(c.w)
	if err == nil {
		err = c.w.Flush()
	}
	if a.transport.underway.Load() == 1 {
		// The answer is not there yet. A read now would park this goroutine, and its thread would sleep and
		// be woken, which takes longer than many an exchange. Beside other exchanges threads hardly sleep.
		runtime.Gosched()
	}
	if c.wrote {
		a.mu.Lock()
		a.phase = written
		a.mu.Unlock()
	}
	if err != nil && !c.wrote {
		a.mu.Lock()
		a.faulty = c.writeErr == nil
		a.mu.Unlock()
		return nil, err
	}
	// A server may answer and close the connection before it has read the whole request.
	response, readErr := a.readHead(c, r)
	if readErr != nil {
		return nil, cmp.Or(err, readErr)
	}
	c.left = unlimited
	a.body = response.Body
	a.reusable = err == nil && !response.Close && !r.Close && response.StatusCode >= http.StatusOK
	if a.body == http.NoBody {
		a.release(true)
		a.leave()
		return response, nil
	}
	if response.ContentLength < 0 {
		a.slot.Streams()
	}
	response.Body = a
	return response, nil
}

// readHead reads answers up to the final one.
func (a *Attempt) readHead(c *conn, r *http.Request) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(c.r, r)
		if err != nil {
			return nil, err
		}
		code := response.StatusCode
		if code < 100 || code > 199 || code == http.StatusSwitchingProtocols {
			return response, nil
		}
		if a.Informed != nil {
			if err := a.Informed(code, textproto.MIMEHeader(response.Header)); err != nil {
				return nil, err
			}
			c.left = a.transport.options.MaxHeaderBytes
		}
	}
}

// release gives the connection back: for another exchange when this one is complete, and
// closed otherwise.
func (a *Attempt) release(complete bool) {
	a.mu.Lock()
	c := a.conn
	a.conn = nil
	// What follows the answer was sent to no request, and is not the answer to the next one.
	keep := complete && a.reusable && a.cause == nil && c != nil && c.r.Buffered() == 0
	a.mu.Unlock()
	switch {
	case c == nil:
	case keep:
		c.used = true
		a.transport.put(a.addr, c)
	default:
		_ = c.Close()
	}
}

// leave ends what the attempt has begun, once.
func (a *Attempt) leave() {
	a.mu.Lock()
	left := a.left
	a.left = true
	a.mu.Unlock()
	if left {
		return
	}
	a.transport.underway.Add(-1)
	if a.stop != nil {
		a.stop()
	}
	a.slot.Free()
}

// failure returns why the attempt or its reader has ended it, or nil.
func (a *Attempt) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return http.ErrBodyReadAfterClose
	}
	return a.cause
}

// Read implements [io.Reader] for the body of the answer.
func (a *Attempt) Read(b []byte) (int, error) {
	if a.isClosed() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := a.body.Read(b)
	if err == nil {
		return n, nil
	}
	a.release(err == io.EOF) //nolint:errorlint // readers return it as it is
	a.leave()
	if err != io.EOF { //nolint:errorlint // readers return it as it is
		if failure := a.failure(); failure != nil {
			err = failure
		}
	}
	return n, err
}

func (a *Attempt) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// Close implements [io.Closer] for the body of the answer. It does not wait. The connection
// of an answer that was not read to its end is closed.
func (a *Attempt) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.release(false)
	a.leave()
	return nil
}
