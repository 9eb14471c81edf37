package route

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// cargo is the body of a request. Each attempt reads it from the beginning through a
// handle of its own. What an attempt reads of the source is kept for the next, up to a
// limit. Nothing is read before an attempt asks for it, because the caller may wait for an
// answer before it sends its body.
type cargo struct {
	none   bool  // the request has no body
	most   int64 // the largest number of bytes that are kept
	length int64 // the length of the body that the request announces; negative: none announced
	source io.Reader
	// rewind returns the body from its beginning for an attempt, so that nothing is kept; nil:
	// the caller has no such function.
	rewind func() (io.ReadCloser, error)
	asks   func() // called before the source is read; nil: nothing is

	reading sync.Mutex // held while the source is read

	mu      sync.Mutex
	kept    []byte // the beginning of the source, unless lost
	lost    bool   // more was read than may be kept
	end     error  // the error at the end of the source, or of the body that was rewound last
	taken   int64  // bytes of it that were read
	present *handle
	rewound *rewound
}

// pack takes the body of a request over.
func (c *cargo) pack(r *http.Request, most int64) {
	c.none = r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0
	c.most, c.length = max(most, 0), r.ContentLength
}

// load gives the body to an attempt. It gives http.Transport no way to send a request with
// a body again by itself: no request has GetBody. The router itself counts how often a
// request may run.
func (c *cargo) load(out *http.Request) {
	// net/http checks only one spelling of these headers. For the receiver all
	// spellings are equal.
	for _, name := range idempotencyKeys {
		if values, ok := out.Header[name]; ok {
			delete(out.Header, name)
			out.Header[strings.ToLower(name)] = values
		}
	}
	out.GetBody = nil
	switch {
	case c.rewind != nil:
		body, err := c.rewind()
		if err != nil {
			body = failing{err}
		}
		out.Body = c.begin(body)
	case !c.none:
		if c.source == nil {
			c.source = out.Body
		}
		out.Body = c.open()
	default: // sending.getConn sees to it that this is not sent again
		out.Body = nil
	}
}

// failing is a body that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
func (failing) Close() error               { return nil }

// begin returns the body of an attempt that was rewound, so that its errors are known.
func (c *cargo) begin(body io.ReadCloser) io.ReadCloser {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rewound = &rewound{ReadCloser: body, cargo: c}
	c.end, c.taken = nil, 0
	return c.rewound
}

// rewound is the body of one attempt, which its transport closes.
type rewound struct {
	io.ReadCloser
	cargo *cargo
}

// Read is a method of io.Reader.
func (r *rewound) Read(b []byte) (int, error) {
	n, err := readContained(r.ReadCloser, b)
	c := r.cargo
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rewound == r { // r is neither closed nor followed by another rewound body
		err = c.took(n, err)
	}
	return n, err
}

// Close is a method of io.Closer.
func (r *rewound) Close() error {
	c := r.cargo
	c.mu.Lock()
	if c.rewound == r {
		c.rewound = nil // an error after this is none of the body
	}
	c.mu.Unlock()
	return r.ReadCloser.Close()
}

// took records the result of a read of the body, and returns its error. The caller holds the lock.
func (c *cargo) took(n int, err error) error {
	c.taken += int64(n)
	if c.length >= 0 && (c.taken > c.length || c.taken < c.length && err == io.EOF) { //nolint:errorlint // readers return it as it is
		err = fmt.Errorf("ContentLength is %d, and the body has not that number of bytes", c.length)
	}
	c.end = err
	return err
}

// open returns the body from its beginning. The handle opened before returns errDetached
// from now on.
func (c *cargo) open() io.ReadCloser {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present = &handle{cargo: c}
	return c.present
}

// unload takes the body back from the last attempt, which may still be reading. It
// returns false when the next attempt could not read all of it.
func (c *cargo) unload() bool {
	if c.none || c.rewind != nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present = nil
	return !c.lost
}

// isWhole reports whether another attempt could read all of the body.
func (c *cargo) isWhole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.lost
}

// broke returns the error with which the source ended before its end, or nil.
func (c *cargo) broke() error {
	if c.none {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.end, io.EOF) {
		return nil
	}
	return c.end
}

// readContained reads a body, in a goroutine of the transport. A panic there would end the process, and
// is a [usercode.Error].
func readContained(body io.Reader, b []byte) (n int, err error) {
	err = usercode.Call(func() (err error) { n, err = body.Read(b); return err })
	return n, err
}

// ended reports whether the body was read to its end.
func (c *cargo) ended() bool {
	if c.none {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil
}

// waits reports whether an attempt waits for the caller to send more of the body.
func (c *cargo) waits() bool {
	if c.none {
		return false
	}
	free := c.reading.TryLock()
	if free {
		c.reading.Unlock()
	}
	return !free
}

// handle is the body of one attempt.
type handle struct {
	cargo *cargo
	at    int // the next byte of the kept ones
}

var errDetached = errors.New("route: the request was sent to another member")

func (h *handle) Read(b []byte) (int, error) {
	if n, err, known := h.readKept(b); known {
		return n, err
	}
	c := h.cargo
	c.reading.Lock()
	defer c.reading.Unlock()
	// Another handle may have read while this one waited.
	if n, err, known := h.readKept(b); known {
		return n, err
	}
	c.mu.Lock()
	if c.present != h {
		c.mu.Unlock()
		return 0, errDetached
	}
	if !c.lost {
		b = b[:min(int64(len(b)), max(c.most-int64(len(c.kept)), 1))] // one more byte shows whether the body has ended
	}
	c.mu.Unlock()
	if c.asks != nil {
		c.asks()
	}
	n, err := readContained(c.source, b)
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.took(n, err)
	if !c.lost {
		c.kept = append(c.kept, b[:n]...)
	}
	if c.present != h {
		return 0, errDetached // the next handle finds what was read
	}
	if int64(len(c.kept)) > c.most {
		c.lost, c.kept = true, nil
	}
	h.at += n
	return n, err
}

// readKept reads what an attempt before has read. It returns known false when the source
// must be read.
func (h *handle) readKept(b []byte) (n int, err error, known bool) { //nolint:revive // the result of Read comes first
	c := h.cargo
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.present != h:
		return 0, errDetached, true
	case len(b) == 0:
		return 0, nil, true
	case h.at < len(c.kept):
		n = copy(b, c.kept[h.at:])
		h.at += n
		return n, nil, true
	default:
		return 0, c.end, c.end != nil
	}
}

// Close leaves the source open: net/http closes the body of the incoming request.
func (h *handle) Close() error { return nil }

// buffers are the buffers through which answers are copied.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}}
}

func (b *buffers) Get() []byte { return b.pool.Get().(*[32 << 10]byte)[:] }

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }

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
