package transport

import (
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// contain answers 500 when a handler within panics. The panic and its stack are logged;
// the caller sees neither.
func (h *Handler) contain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := w.(*response) // the middleware measure always passes a *response
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler) // the handler asks to close the connection
			}
			h.logger.ErrorContext(r.Context(), "panic while serving a request",
				"method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if tracked.begun {
				// A cut-off answer must not look like a complete one.
				panic(http.ErrAbortHandler)
			}
			wire.Refuse(tracked, r, wire.Internal())
		}()
		next.ServeHTTP(tracked, r)
	})
}

// refuse answers with an endpoint's error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*api.Refusal](err)
	if !ok {
		h.logger.ErrorContext(r.Context(), "cannot serve a request", "method", r.Method, "path", r.URL.Path, "error", err)
		p = wire.Internal()
	}
	wire.Refuse(w, r, p)
}

// response records whether an answer has begun, with which status, and of which route.
type response struct {
	http.ResponseWriter
	begun  bool
	status int // zero before one was given
	counts *routeCounts
}

func (w *response) WriteHeader(status int) {
	// Informational answers come before the final one. The exception is 101, the last
	// answer in HTTP on a connection.
	if !w.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.begun, w.status = true, status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
