package transport

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// HandlerStats count what a [Handler] has answered since it was made.
type HandlerStats struct {
	// Routes are in a fixed order. The last is that of requests which reached
	// no route: an unknown path, or middleware that answered by itself.
	Routes []struct {
		// Method and Route are what it was registered under, such as GET, which
		// stands for HEAD too, and /v1/partitions/{id}. Other methods of a known
		// path count under "other", and Route is "none" for requests that reached
		// none.
		Method, Route string
		// Answers counts by the first digit of the status, 1 to 5; Answers[0] are
		// answers cut off before their end.
		Answers [6]uint64
		// Durations counts by how long the answer took, in seconds: at most 0.0005,
		// 0.002, 0.01, 0.05, 0.25, 1, and more than that. Duration is all of it
		// together.
		Durations [7]uint64
		Duration  time.Duration
	}
	// InFlight is how many requests are being answered.
	InFlight int
	// Lookups counts keys looked up one by one, BatchLookups keys of batches.
	// Those of requests that were refused are not among them.
	Lookups, BatchLookups uint64
}

// durationBounds go from what a lookup takes to what no caller should wait for. They
// stand in HandlerStats too.
var durationBounds = [...]time.Duration{
	500 * time.Microsecond, 2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second,
}

const (
	otherMethod = "other"
	noRoute     = "none"
)

// handlerCounts are HandlerStats that many goroutines write.
type handlerCounts struct {
	routes                []*routeCounts // the last for requests that reached none
	inFlight              atomic.Int64
	lookups, batchLookups atomic.Uint64
}

type routeCounts struct {
	method, route string
	answers       [6]atomic.Uint64
	durations     [len(durationBounds) + 1]atomic.Uint64
	nanoseconds   atomic.Int64
}

// unrouted counts what reaches no route.
func (c *handlerCounts) unrouted() *routeCounts { return c.routes[len(c.routes)-1] }

// add makes a place for one more route, before the place of requests that reach none.
// It is not for concurrent use.
func (c *handlerCounts) add(method, route string) *routeCounts {
	counts := &routeCounts{method: method, route: route}
	last := len(c.routes) - 1
	c.routes = append(c.routes[:last:last], counts, c.unrouted())
	return counts
}

func newHandlerCounts() *handlerCounts {
	return &handlerCounts{routes: []*routeCounts{{method: otherMethod, route: noRoute}}}
}

// answered counts one request. Status zero is an answer without a status of its
// own, which net/http sends as 200.
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

// Stats returns the counts so far. Each is exact; together they are of about the
// same moment. It does not block.
func (h *Handler) Stats() HandlerStats {
	c := h.counts
	s := HandlerStats{
		InFlight: int(c.inFlight.Load()), Lookups: c.lookups.Load(), BatchLookups: c.batchLookups.Load(),
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

// measure counts every request, and gives those below it a *response to write to.
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

// reached notes which route a request has reached. Middleware between that hides
// the writer it was given, without an Unwrap method, leaves it counted as having
// reached none.
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
