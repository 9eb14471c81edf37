package transport

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// HandlerStats are the counts of the requests that a [Handler] has answered since it
// was made.
type HandlerStats struct {
	// Routes are in a fixed order. The last one counts requests that reached no route,
	// because of an unknown path or of middleware that answered itself.
	Routes []struct {
		// Method and Route are those with which the route was registered, such as GET,
		// which includes HEAD, and /v1/partitions/{id}. Method is "other" for other
		// methods of a known path. Route is "none" for requests that reached no route.
		Method, Route string
		// Answers counts by the first digit of the status, 1 to 5. Answers[0] counts
		// answers that were cut off before their end.
		Answers [6]uint64
		// Durations counts by the duration of the answer, in seconds: at most 0.000025,
		// 0.0001, 0.0005, 0.002, 0.01, 0.05, 0.25, 1, and more than 1. Duration is the
		// sum of all durations.
		Durations [9]uint64
		Duration  time.Duration
	}
	// InFlight is how many requests are being answered.
	InFlight int
	// Lookups counts keys looked up one by one, BatchLookups keys of batches. Keys of
	// refused requests are not counted.
	Lookups, BatchLookups uint64
	// AnswerBytes is the memory that requests under way hold, which
	// [HandlerOptions].MaxAnswerBytes bounds. Overloaded counts requests that were refused
	// because there was no more, or because too many plans were waiting.
	AnswerBytes int64
	Overloaded  uint64
}

// durationBounds go from the duration of a lookup to one that is too long for every
// caller. The documentation of HandlerStats lists them too.
var durationBounds = [...]time.Duration{
	25 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, 2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second,
}

const (
	otherMethod = "other"
	noRoute     = "none"
)

// handlerCounts are HandlerStats that any number of goroutines may increase.
type handlerCounts struct {
	routes                []*routeCounts // the last one for requests that reached no route
	inFlight              atomic.Int64
	lookups, batchLookups atomic.Uint64
	overloaded            atomic.Uint64
}

type routeCounts struct {
	method, route string
	answers       [6]atomic.Uint64
	durations     [len(durationBounds) + 1]atomic.Uint64
	nanoseconds   atomic.Int64
}

// unrouted counts requests that reach no route.
func (c *handlerCounts) unrouted() *routeCounts { return c.routes[len(c.routes)-1] }

// add adds the counts of one more route, before the last one. It is not for concurrent
// use.
func (c *handlerCounts) add(method, route string) *routeCounts {
	counts := &routeCounts{method: method, route: route}
	last := len(c.routes) - 1
	c.routes = append(c.routes[:last:last], counts, c.unrouted())
	return counts
}

func newHandlerCounts() *handlerCounts {
	return &handlerCounts{routes: []*routeCounts{{method: otherMethod, route: noRoute}}}
}

// answered counts one request. Status zero means that the handler set no status, so
// that net/http sends 200.
func (c *routeCounts) answered(status int, whole bool, took time.Duration) {
	class := min(status/100, 5)
	switch {
	case !whole:
		class = 0
	case status == 0:
		class = 2
	}
	c.answers[class].Add(1)
	slot := 0
	for slot < len(durationBounds) && took > durationBounds[slot] {
		slot++
	}
	c.durations[slot].Add(1)
	c.nanoseconds.Add(int64(took))
}

// Stats returns the counts so far. Each is exact. They are read one after the other, so
// they may be of slightly different moments. It does not block.
func (h *Handler) Stats() HandlerStats {
	c := h.counts
	s := HandlerStats{
		InFlight: int(c.inFlight.Load()), Lookups: c.lookups.Load(), BatchLookups: c.batchLookups.Load(),
		AnswerBytes: h.memory.now() + h.scrapes.now(), Overloaded: c.overloaded.Load(),
	}
	s.Routes = slices.Grow(s.Routes, len(c.routes))[:len(c.routes)]
	for i, from := range c.routes {
		to := &s.Routes[i]
		to.Method, to.Route = from.method, from.route
		for class := range to.Answers {
			to.Answers[class] = from.answers[class].Load()
		}
		for slot := range to.Durations {
			to.Durations[slot] = from.durations[slot].Load()
		}
		to.Duration = time.Duration(from.nanoseconds.Load())
	}
	return s
}

// measure counts every request, and passes a *response to the handler within.
func (h *Handler) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		tracked := &response{ResponseWriter: w, counts: h.counts.unrouted()}
		whole := false
		h.counts.inFlight.Add(1)
		defer func() {
			h.counts.inFlight.Add(-1)
			tracked.counts.answered(tracked.status, whole, time.Since(begun))
		}()
		next.ServeHTTP(tracked, r)
		whole = true
	})
}

// reached records which route a request has reached. If middleware wraps the writer
// without an Unwrap method, the request counts as one that reached no route.
func (c *routeCounts) reached(w http.ResponseWriter) {
	for {
		switch writer := w.(type) {
		case *response:
			writer.counts = c
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = writer.Unwrap()
		default:
			return
		}
	}
}
