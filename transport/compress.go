package transport

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

const (
	// zipFrom is the length of the shortest answer that is compressed. A shorter one fits
	// into one or two packets in any case.
	zipFrom = 2 << 10
	// zipBytes is about what the compression of one answer holds in memory.
	zipBytes = 1 << 20
)

// zipped makes an endpoint compress its long answers of status 200 for callers that take
// gzip. An answer is compressed piece by piece as the endpoint writes it. Where the budget
// has no room for a compression, the answer is sent as it is.
//
// Streams of events are not compressed, because each event must be sent at once, and binary
// tables are not, because they are compact.
func (h *Handler) zipped(e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		z := &zipWriter{ResponseWriter: w, h: h, r: r}
		defer z.release()
		if err := e(z, r); err != nil {
			return err
		}
		return z.close()
	}
}

// zipWriter compresses an answer, or passes it on. The header of the answer decides.
type zipWriter struct {
	http.ResponseWriter
	h     *Handler
	r     *http.Request
	begun bool
	zip   *gzip.Writer // nil while nothing is compressed
	lease *lease
}

// WriteHeader decides whether the answer is compressed.
func (z *zipWriter) WriteHeader(status int) {
	if !z.begun && status >= http.StatusOK {
		z.begun = true
		header := z.Header()
		if vary := header.Get("Vary"); vary != "" {
			header.Set("Vary", vary+", Accept-Encoding")
		} else {
			header.Set("Vary", "Accept-Encoding")
		}
		if status == http.StatusOK && pays(header) && takesGzip(z.r) && z.acquire() {
			header.Del("Content-Length")
			header.Set("Content-Encoding", "gzip")
		}
	}
	z.ResponseWriter.WriteHeader(status)
}

// pays reports whether an answer with this header is worth compressing.
func pays(header http.Header) bool {
	switch kind := header.Get("Content-Type"); {
	case kind == wire.EventStream, kind == wire.Table, header.Get("Content-Encoding") != "":
		return false
	default: // an answer without a length is a long one: see stream
		n, err := strconv.Atoi(header.Get("Content-Length"))
		return err != nil || n >= zipFrom
	}
}

// acquire takes a compression from the budget.
func (z *zipWriter) acquire() bool {
	l := z.h.lease(z.r)
	if !l.budget.take(l.client, zipBytes, l.share, l.most) {
		return false
	}
	l.held = zipBytes
	z.lease, z.zip = l, zippers.Get().(*gzip.Writer)
	z.zip.Reset(z.ResponseWriter)
	return true
}

func (z *zipWriter) Write(b []byte) (int, error) {
	if !z.begun {
		z.WriteHeader(http.StatusOK)
	}
	if z.zip == nil {
		return z.ResponseWriter.Write(b)
	}
	return z.zip.Write(b)
}

// close ends a complete answer. A HEAD has no body, whose end would be one.
func (z *zipWriter) close() error {
	if z.zip == nil || z.r.Method == http.MethodHead {
		return nil
	}
	if z.zip.Close() != nil {
		return http.ErrAbortHandler // nobody reads the rest
	}
	return nil
}

// release gives the compression back, also after an answer that was cut off.
func (z *zipWriter) release() {
	if z.zip == nil {
		return
	}
	z.zip.Reset(nil) // so that the pool keeps no answer
	zippers.Put(z.zip)
	z.zip = nil
	z.lease.end()
}

// Unwrap lets http.ResponseController reach the writer below.
func (z *zipWriter) Unwrap() http.ResponseWriter { return z.ResponseWriter }

// zippedFor returns a body as it is sent to the caller: compressed where the caller takes
// that, and then it sets the header that says so.
func zippedFor(w http.ResponseWriter, r *http.Request, body []byte) ([]byte, error) {
	if !takesGzip(r) {
		return body, nil
	}
	var zipped bytes.Buffer
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(&zipped)
	_, _ = z.Write(body) // a buffer takes everything
	if err := z.Close(); err != nil {
		return nil, err
	}
	z.Reset(nil) // so that the pool keeps no answer
	w.Header().Set("Content-Encoding", "gzip")
	return zipped.Bytes(), nil
}

// zippers are writers to use again: each has buffers of nearly a megabyte.
var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// takesGzip reports whether a request names gzip in Accept-Encoding, without weight zero.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}
