package route

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// cargo is the body of a request that is being forwarded.
type cargo struct {
	kept   []byte        // the whole body, if it is kept
	stream bool          // the body is not kept
	source io.ReadCloser // the source of a streamed body, from the first attempt on
	handle *handle       // the present attempt reads the source through it
	// rewind returns the body from its beginning; nil: the body cannot be made again.
	rewind func() (io.ReadCloser, error)
}

// empty reports whether there is no body.
func (c *cargo) empty() bool { return c.kept == nil && !c.stream && c.rewind == nil }

// pack takes over the body of a request, and reads it if it is to be kept.
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

// load gives the body to an attempt. It gives http.Transport no way to send the request
// again by itself: a request without a body has one that is empty, and no request has
// GetBody. The router itself counts how often a request may run.
func (c *cargo) load(out *http.Request) {
	// net/http checks only one spelling of these headers. For the receiver all
	// spellings are equal.
	for _, name := range idempotencyKeys {
		if values, ok := out.Header[name]; ok {
			delete(out.Header, name)
			out.Header[strings.ToLower(name)] = values
		}
	}
	switch {
	case c.rewind != nil:
		body, err := c.rewind()
		if err != nil {
			body = failing{err}
		}
		out.Body = body
	case c.kept != nil:
		out.Body = c.replay()
		out.Header.Del("Expect") // the whole body is kept
	case c.stream:
		if c.source == nil {
			c.source = out.Body // the context of the proxy, which ends with the request
		}
		c.handle = &handle{source: c.source}
		out.Body = c.handle
	case out.URL.Scheme != "http": // HTTP/2 sends again only what has not run, and tells a handler of such a body
	case out.Method == http.MethodGet || out.Method == http.MethodHead || out.Method == http.MethodOptions:
		out.Body = nothing{} // net/http finds out that it is empty before it writes the request
	}
}

// nothing is a body without content, other than http.NoBody.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }

// failing is a body that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
func (failing) Close() error               { return nil }

func (c *cargo) replay() io.ReadCloser { return io.NopCloser(bytes.NewReader(c.kept)) }

// unload takes the body back from the last attempt, which may still be reading. It
// returns false when a part of a streamed body has been read.
func (c *cargo) unload() bool { return c.handle == nil || c.handle.detach() }

// handle lets one attempt read a streamed body. It can be taken away as long as no byte
// was read.
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

// Close leaves the source open: net/http closes the body of the incoming request.
func (h *handle) Close() error { return nil }

func (h *handle) detach() bool {
	return h.state.CompareAndSwap(untouched, detached) || h.state.Load() == detached
}

// buffers are the buffers through which answers are copied.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}
}

func (b *buffers) Get() []byte { return *b.pool.Get().(*[]byte) }

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// isIdempotent reports whether a request may run twice. Like net/http, it takes the
// header Idempotency-Key as a promise that the handler handles a repeated request.
func isIdempotent(r *http.Request) bool {
	if wire.IsUpgrade(r) {
		return false // the state of the connection is lost
	}
	if isSafe(r.Method) || r.Method == http.MethodPut || r.Method == http.MethodDelete {
		return true
	}
	return slices.ContainsFunc(idempotencyKeys, func(name string) bool { return r.Header[name] != nil })
}

// idempotencyKeys are the headers by which a caller promises that a request may run twice.
var idempotencyKeys = []string{"Idempotency-Key", "X-Idempotency-Key"}
