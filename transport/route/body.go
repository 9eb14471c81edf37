package route

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// cargo is the body of a request on its way.
type cargo struct {
	kept   []byte        // all of it, when it is kept
	stream bool          // it is not kept
	source io.ReadCloser // what a stream is read from, from the first attempt on
	handle *handle       // through which the present attempt reads the source
}

// pack takes over the body of a request, and reads it when it is to be kept.
func pack(r *http.Request, most int64) (c cargo, err error) {
	switch {
	case r.Body == nil || r.ContentLength == 0:
	case r.ContentLength < 0 || r.ContentLength > most:
		c.stream = true
	default:
		c.kept = make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, c.kept); err != nil {
			return c, err
		}
	}
	return c, nil
}

// load gives an attempt the body.
func (c *cargo) load(out *http.Request) {
	switch {
	case c.kept != nil:
		out.Body = c.replay()
		out.Header.Del("Expect") // all of the body is here
		// With this, http.Transport can itself replace a connection that
		// the other side has just closed.
		out.GetBody = func() (io.ReadCloser, error) { return c.replay(), nil }
	case c.stream:
		if c.source == nil {
			c.source = out.Body // the proxy's, which ends when the request does
		}
		c.handle = &handle{source: c.source}
		out.Body = c.handle
	}
}

func (c *cargo) replay() io.ReadCloser { return io.NopCloser(bytes.NewReader(c.kept)) }

// unload takes the body back from the last attempt, which may still be reading.
// It returns false when it is too late: something of a streamed body is gone.
func (c *cargo) unload() bool { return c.handle == nil || c.handle.detach() }

// handle lets one attempt read a streamed body. It can be taken away as long as
// nothing was read.
type handle struct {
	source io.Reader
	state  atomic.Int32
}

const (
	untouched int32 = iota
	touched
	detached
)

var errDetached = errors.New("route: the request was sent to another member")

func (h *handle) Read(b []byte) (int, error) {
	if !h.state.CompareAndSwap(untouched, touched) && h.state.Load() == detached {
		return 0, errDetached
	}
	return h.source.Read(b)
}

// Close leaves the source open: net/http closes the body of the request that came
// in.
func (h *handle) Close() error { return nil }

func (h *handle) detach() bool {
	return h.state.CompareAndSwap(untouched, detached) || h.state.Load() == detached
}

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}
}

func (b *buffers) Get() []byte { return *b.pool.Get().(*[]byte) }

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// isIdempotent reports whether a request may run twice. As net/http does, it
// takes an Idempotency-Key for the promise that the handler sees to that.
func isIdempotent(r *http.Request) bool {
	if wire.IsUpgrade(r) {
		return false // what has been said on the connection is lost
	}
	if isSafe(r.Method) || r.Method == http.MethodPut || r.Method == http.MethodDelete {
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}
