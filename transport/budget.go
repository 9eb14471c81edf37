package transport

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

const (
	// baseAnswerBytes and slotAnswerBytes are the default of MaxAnswerBytes: so much, and
	// so much for each replica slot. A whole table takes up to 10 bytes a slot in its two
	// forms, so that there is room for three tables.
	baseAnswerBytes = 32 << 20
	slotAnswerBytes = 32
	// bodyFactor relates the default to MaxBodyBytes: this many bodies fit.
	bodyFactor = 32
	// clientPart is the part of a budget that one client may hold: 1 / clientPart.
	clientPart = 4
)

// budget bounds what all requests under way hold of one thing, such as bytes, and what
// the requests of each client hold.
type budget struct {
	mu       sync.Mutex
	held     int64
	byClient map[netip.Prefix]int64
}

// take adds n to what a client holds, unless the client would hold more than share, or
// all together more than most.
func (b *budget) take(client netip.Prefix, n, share, most int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > most || b.byClient[client]+n > share {
		return false
	}
	if b.byClient == nil {
		b.byClient = make(map[netip.Prefix]int64)
	}
	b.held += n
	b.byClient[client] += n
	return true
}

// give takes n off what a client holds.
func (b *budget) give(client netip.Prefix, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.byClient[client] -= n; b.byClient[client] == 0 {
		delete(b.byClient, client)
	}
}

func (b *budget) now() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// lease is the memory that one request holds of the handler's budget.
type lease struct {
	h           *Handler
	budget      *budget
	client      netip.Prefix
	held        int64
	share, most int64
}

// lease begins an empty lease. The caller must end it.
func (h *Handler) lease(r *http.Request) *lease {
	most := h.maxAnswerBytes()
	return &lease{h: h, budget: &h.memory, client: sourceOf(r), share: max(most/clientPart, h.options.MaxBodyBytes), most: most}
}

// leaseOfScrapes begins an empty lease for a scrape. Scrapes have a budget of their own,
// a quarter of the other one, so that a member under load can be watched.
func (h *Handler) leaseOfScrapes(r *http.Request) *lease {
	l := h.lease(r)
	l.budget, l.share, l.most = &h.scrapes, l.most/clientPart, l.most/clientPart
	return l
}

const (
	// streamBytes is what a request of HTTP/2 takes until its answer is read, without its header.
	streamBytes = 16 << 10
	// maxStreamBytes is what all requests of HTTP/2 under way may take for that, and maxRefusalBytes
	// what those may take that a guard refuses.
	maxStreamBytes, maxRefusalBytes = 32 << 20, 8 << 20
)

// streamCost returns the bytes that a request of HTTP/2 takes until its answer is read. A connection
// can carry hundreds of them; one of HTTP/1 carries one, and the number of connections is bounded.
func streamCost(r *http.Request) int64 {
	if r.ProtoMajor < 2 {
		return 0
	}
	bytes := int64(streamBytes + 2*len(r.RequestURI)) // the text, and what is decoded of it
	for name, values := range r.Header {
		for _, value := range values {
			bytes += int64(len(name) + len(value))
		}
	}
	return bytes
}

// awaitRoom waits until the client has made room for the answer to a request of HTTP/2.
func awaitRoom(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor >= 2 {
		_ = http.NewResponseController(w).Flush() // the stream may have ended
	}
}

// leaseOfStream returns a lease for a request of HTTP/2, which holds memory until its answer is
// read. It reports false when too many are under way.
func (h *Handler) leaseOfStream(r *http.Request) (*lease, bool) {
	l := &lease{h: h, budget: &h.streams, client: sourceOf(r), share: maxStreamBytes / clientPart, most: maxStreamBytes}
	bytes := min(streamCost(r), l.share)
	if !l.budget.take(l.client, bytes, l.share, l.most) {
		return nil, false
	}
	l.held = bytes
	return l, true
}

// maxAnswerBytes is the option, or its default for the present ring.
func (h *Handler) maxAnswerBytes() int64 {
	if h.options.MaxAnswerBytes != 0 {
		return h.options.MaxAnswerBytes
	}
	r := h.cluster.View().Ring
	slots := r.PartitionCount() * r.Replicas()
	if target := r.Target(); target != r {
		slots += target.PartitionCount() * target.Replicas()
	}
	return max(baseAnswerBytes, bodyFactor*h.options.MaxBodyBytes) + int64(slots)*slotAnswerBytes
}

// resize makes the lease as large as the request needs now. A request that needs more
// than the share of its client gets the share, so that it can be answered when the client
// has no other one. The error is a refusal. A lease can always shrink.
func (l *lease) resize(w http.ResponseWriter, bytes int64) error {
	bytes = min(bytes, l.share)
	if more := bytes - l.held; more > 0 && !l.budget.take(l.client, more, l.share, l.most) {
		return l.h.overloaded(w)
	}
	l.shrink(bytes)
	l.held = bytes
	return nil
}

// shrink makes the lease smaller.
func (l *lease) shrink(bytes int64) {
	less := max(0, l.held-bytes)
	l.budget.give(l.client, less)
	l.held -= less
}

func (l *lease) end() {
	l.shrink(0)
}

// overloaded returns the refusal that answers under way hold all the memory they may.
func (h *Handler) overloaded(w http.ResponseWriter) error {
	h.counts.overloaded.Add(1)
	w.Header().Set("Retry-After", "1")
	p := wire.New(wire.Overloaded, http.StatusServiceUnavailable, "the answers under way, or those to this client, hold as much memory as they may: read answers faster, ask another member, or try again")
	p.Bound = h.maxAnswerBytes()
	return p
}

// sourceKey is the key under which a guard leaves the client of a request in its context.
type sourceKey struct{}

// sourceOf returns the client of a request: the one that a guard has found, or the address
// of the connection.
func sourceOf(r *http.Request) netip.Prefix {
	if client, ok := r.Context().Value(sourceKey{}).(netip.Prefix); ok {
		return client
	}
	return prefixOf(parseHop(r.RemoteAddr))
}

// written answers with a document that is complete in memory. The lease grows by it.
func (h *Handler) written(w http.ResponseWriter, r *http.Request, l *lease, contentType string, body []byte) error {
	if err := l.resize(w, int64(len(body))); err != nil {
		return err
	}
	wire.Write(w, r, http.StatusOK, contentType, body)
	return nil
}

// sizes remembers the length of the last answer of each route, as an estimate of the next.
type sizes struct{ last sync.Map }

// of returns the last length for a route, at least 16 KiB.
func (s *sizes) of(r *http.Request) int64 {
	last, _ := s.last.Load(r.Pattern)
	n, _ := last.(int)
	return int64(max(n, 16<<10))
}

func (s *sizes) set(r *http.Request, n int) { s.last.Store(r.Pattern, n) }
