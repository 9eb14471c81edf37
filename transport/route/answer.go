package route

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// answering is the writer of a handler that answers another router. It adds the number of
// the attempt to the final answer, also when the handler has removed all headers, as
// httputil.ReverseProxy does after an informational answer.
type answering struct {
	http.ResponseWriter
	ctx    context.Context // the context of the request
	closes bool            // the connection, unless the handler says the length of its answer
	http1  bool
	number [1]string
	begun  bool
}

// answeringHTTP1 and answeringHTTP2 have the optional methods of the writers of net/http,
// so that the handler finds the same ones as in the answer to a client.
type (
	answeringHTTP1 struct{ *answering }
	answeringHTTP2 struct{ *answering }
)

// around returns the writer to give to the handler, for an answer to w.
func (a *answering) around(r *http.Request, w http.ResponseWriter, number string) http.ResponseWriter {
	a.ctx, a.ResponseWriter, a.number[0], a.http1 = r.Context(), w, number, r.ProtoMajor == 1
	// The other router has the whole answer to a HEAD before the handler ends, which goes on when
	// it is that of an event stream. A further request on the connection would wait for its end.
	a.closes = r.Method == http.MethodHead && a.http1
	if _, ok := w.(http.Hijacker); ok {
		return answeringHTTP1{a}
	}
	if _, ok := w.(http.Flusher); ok {
		return answeringHTTP2{a}
	}
	return a
}

// begin adds the number before the final answer begins.
func (a *answering) begin() {
	if !a.begun {
		a.begun = true
		h := a.Header()
		a.clean()
		h[wire.AnsweredHeader] = a.number[:]
		if a.closes && h["Content-Length"] == nil {
			h["Connection"] = []string{"close"}
		}
	}
}

// end ends the answer of a handler that has returned.
func (a *answering) end() {
	if a.begun {
		a.clean() // the trailer
		return
	}
	a.closes = false
	a.begin()
}

// clean replaces control characters in the header of an answer over HTTP/1.1. A server of net/http
// replaces the ends of lines alone. The other router could not read the answer: the request would
// count as broken, and run again. A server of HTTP/2 leaves such values out.
func (a *answering) clean() {
	if !a.http1 {
		return
	}
	h := a.Header()
	for name, values := range h {
		for i, value := range values {
			if clean := withoutControls(value); clean != value {
				values = slices.Clone(values) // the handler may share them
				values[i] = clean
				h[name] = values
			}
		}
	}
}

// withoutControls returns a text with blanks in place of its control characters.
func withoutControls(s string) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			if b == nil {
				b = []byte(s)
			}
			b[i] = ' '
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}

func (a *answering) WriteHeader(status int) {
	if status == http.StatusRequestEntityTooLarge && a.http1 {
		// http.MaxBytesReader does so with the writer of net/http, and knows no other. Otherwise the
		// server reads the rest of the body first, for which the caller may let it wait.
		a.Header()["Connection"] = []string{"close"}
	}
	if status >= http.StatusOK {
		a.begin()
	} else {
		a.clean()
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(b []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(b)
}

// WriteString implements [io.StringWriter].
func (a *answering) WriteString(s string) (int, error) {
	a.begin()
	return io.WriteString(a.ResponseWriter, s)
}

// Unwrap lets [http.ResponseController] set deadlines and full duplex.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// CloseNotify implements the interface CloseNotifier, which is deprecated. Frameworks assert it
// of the writers of net/http, and panic without it.
func (a *answering) CloseNotify() <-chan bool {
	if n, ok := a.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok {
		return n.CloseNotify()
	}
	gone := make(chan bool, 1)
	context.AfterFunc(a.ctx, func() { gone <- true })
	return gone
}

// flush implements Flush of the writers below.
func (a *answering) flush() error {
	a.begin()
	return http.NewResponseController(a.ResponseWriter).Flush()
}

func (a answeringHTTP1) Flush()            { _ = a.flush() }
func (a answeringHTTP1) FlushError() error { return a.flush() }
func (a answeringHTTP2) Flush()            { _ = a.flush() }
func (a answeringHTTP2) FlushError() error { return a.flush() }

// Hijack implements [http.Hijacker].
func (a answeringHTTP1) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// ReadFrom implements [io.ReaderFrom].
func (a answeringHTTP1) ReadFrom(source io.Reader) (int64, error) {
	a.begin()
	return io.Copy(a.ResponseWriter, source)
}

// Push implements [http.Pusher]. No browser waits for a push of a member.
func (a answeringHTTP2) Push(string, *http.PushOptions) error { return http.ErrNotSupported }
