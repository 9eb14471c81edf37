package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Handler serves the routes that the package comment lists. Make one with
// [NewHandler]. It is safe for concurrent use.
//
// To mount it below a prefix, strip the prefix:
//
//	mux.Handle("/cluster/", http.StripPrefix("/cluster", h))
type Handler struct {
	cluster   Cluster
	options   HandlerOptions
	logger    *slog.Logger
	root      http.Handler
	summaries summaries
	tables    tables
	counts    *handlerCounts
	metrics   metrics
	memory    budget // bytes that requests under way hold
	scrapes   budget // bytes that requests for metrics hold
	streams   budget // bytes that requests of HTTP/2 hold, beside those of long answers
	sizes     sizes
	plans     planGate
	turns     *turns
	waiting   budget // requests that wait for news
}

// endpoint serves one route. A returned [*api.Refusal] becomes the answer. Any other
// error is logged, and becomes a 500 without details. An endpoint that returns an error
// must have written only headers.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// NewHandler returns a handler that answers from the cluster. It starts no goroutine
// and need not be closed. It returns an error for a nil cluster, and the error of
// [HandlerOptions.Validate].
func NewHandler(c Cluster, o HandlerOptions) (*Handler, error) {
	if c == nil {
		return nil, errors.New("transport: NewHandler: the cluster is nil: must be set")
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("transport: options of the handler: %w", err)
	}
	o = o.withDefaults()
	h := &Handler{cluster: c, options: o, logger: o.Logger, plans: newPlanGate(), turns: newTurns(), counts: newHandlerCounts()}
	h.metrics.registry = prometheus.NewPedanticRegistry()

	inner := h.onlyCleanPaths(h.routes())
	for _, m := range slices.Backward(o.Middleware) {
		inner = m(inner)
	}
	h.root = h.measure(h.contain(withHeaders(inner)))
	return h, nil
}

// ServeHTTP answers one request. A panic within becomes a 500. After the answer has
// begun, it aborts the connection with [http.ErrAbortHandler], which net/http does not
// log.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.root.ServeHTTP(w, r) }

// entry is an endpoint with its method and path.
type entry struct {
	method, path string
	endpoint     endpoint
}

func (h *Handler) entries() []entry {
	return append([]entry{
		{http.MethodGet, "/livez", livez},
		{http.MethodGet, "/readyz", h.readyz},
		{http.MethodGet, "/metrics", h.expose},
		{http.MethodGet, "/v1/openapi.json", h.zipped(describe)},
		{http.MethodGet, "/v1/health", h.health},
		{http.MethodGet, "/v1/members", h.zipped(h.members)},
		{http.MethodGet, "/v1/ring", h.zipped(h.ring)},
		{http.MethodGet, "/v1/table", h.zipped(h.table)},
		{http.MethodGet, "/v1/events", h.zipped(h.events)},
		{http.MethodGet, "/v1/partitions/{id}", h.partition},
		{http.MethodGet, "/v1/lookup", h.lookup},
		{http.MethodPost, "/v1/lookup", h.zipped(h.lookupBatch)},
		{http.MethodPost, "/v1/plan", h.zipped(h.plan)},
	}, h.actionEntries()...)
}

// routes registers each endpoint under its method. For all other methods of its path,
// and for all other paths, it registers a refusal, because the mux itself would answer
// in plain text.
func (h *Handler) routes() http.Handler {
	mux := http.NewServeMux()
	allowed := make(map[string][]string)
	for _, r := range h.entries() {
		mux.Handle(r.method+" "+r.path, h.serve(r.endpoint, h.counts.add(r.method, r.path)))
		if r.method == http.MethodGet {
			allowed[r.path] = append(allowed[r.path], http.MethodGet, http.MethodHead)
		} else {
			allowed[r.path] = append(allowed[r.path], r.method)
		}
	}
	for _, r := range h.pageEntries() {
		mux.Handle(r.method+" "+r.path, h.serve(r.endpoint, h.counts.add(r.method, strings.TrimSuffix(r.path, "{$}"))))
	}
	for _, path := range slices.Sorted(maps.Keys(allowed)) {
		mux.Handle(path, h.serve(methodNotAllowed(strings.Join(allowed[path], ", ")), h.counts.add(otherMethod, path)))
	}
	mux.Handle("/", h.serve(notFound, h.counts.unrouted()))
	return mux
}

// serve turns an endpoint into a handler. A request of HTTP/2 beyond the budget of streams gets no
// answer: its stream is reset. An answer would hold memory until it is read.
func (h *Handler) serve(e endpoint, counts *routeCounts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counts.reached(w)
		l, ok := h.leaseOfStream(r)
		if !ok {
			h.counts.overloaded.Add(1)
			panic(http.ErrAbortHandler)
		}
		defer l.end()
		switch err := e(w, r); {
		case err == nil:
		case errors.Is(err, http.ErrAbortHandler):
			panic(http.ErrAbortHandler) // closes the connection without a log line
		default:
			h.refuse(w, r, err)
		}
		awaitRoom(w, r)
	})
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return wire.New(wire.Blank, http.StatusNotFound, "there is nothing at %s", wire.Brief(r.URL.Path))
}

func methodNotAllowed(allow string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allow)
		return wire.New(wire.Blank, http.StatusMethodNotAllowed, "method %s is not allowed here: use one of %s", wire.Brief(r.Method), allow)
	}
}

// onlyCleanPaths refuses paths with dot segments or empty segments. The mux would
// redirect them, and below a prefix the redirect would lead to a wrong path.
func (h *Handler) onlyCleanPaths(next http.Handler) http.Handler {
	unclean := h.serve(func(_ http.ResponseWriter, r *http.Request) error {
		return wire.New(wire.Blank, http.StatusNotFound, "there is nothing at %s", wire.Brief(r.URL.EscapedPath()))
	}, h.counts.unrouted())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isClean(r.URL.EscapedPath()) {
			next.ServeHTTP(w, r)
		} else {
			unclean.ServeHTTP(w, r)
		}
	})
}

func isClean(p string) bool {
	if !strings.HasPrefix(p, "/") {
		return false
	}
	clean := path.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return p == clean
}

// withHeaders sets the headers that every answer has.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
