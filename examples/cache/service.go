package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

const (
	maxValue = 1 << 20     // bytes
	maxSkew  = time.Minute // between the clocks of two members
)

// Headers of requests between members, and of answers.
const (
	// tokenHeader marks a request that comes from another member. It holds the
	// token by which that member chose this one; the answer 421 holds ours.
	tokenHeader = "Cache-Token"
	// writtenHeader is when a value was written, in nanoseconds since 1970.
	writtenHeader = "Cache-Written"
	// memberHeader, zoneHeader and resultHeader say who answered a read, where,
	// and whether it had the value ("hit"), got it from another owner
	// ("fill"), or none of them has it ("miss").
	memberHeader, zoneHeader, resultHeader = "Cache-Member", "Cache-Zone", "Cache-Result"
	// storedHeader says how many of the owners have taken a write, "2/3".
	storedHeader = "Cache-Stored"
)

// owners is what the service asks the cluster: a *cluster.Cluster.
type owners interface {
	Lookup(key string) ring.Placement
	Member(id string) (cluster.Member, bool)
	Local() cluster.Member
}

// Service is one member's part of a cache that is spread over a cluster. Any
// member takes any request; a read is answered by the nearest owner of its key,
// a write goes to all of them.
type Service struct {
	owners owners
	store  *Store
	peers  *http.Client
	// patience is how long another member may take to answer.
	patience time.Duration
}

// NewService returns a service that keeps its values in the store and talks to
// the other members through the client.
func NewService(o owners, store *Store, peers *http.Client, patience time.Duration) *Service {
	return &Service{owners: o, store: store, peers: peers, patience: patience}
}

// Routes adds the cache to a mux: GET and PUT /cache/{key}.
func (s *Service) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /cache/{key}", s.get)
	mux.HandleFunc("PUT /cache/{key}", s.put)
}

// Follow drops what this member does not own any more, whenever the ring
// changes, until the events end. Otherwise it would still have its old values
// the next time it owns them.
func (s *Service) Follow(events iter.Seq[cluster.Event]) {
	for e := range events {
		if e.Kind == cluster.RingChanged {
			s.store.Keep(func(key string) bool { return holds(s.owners.Lookup(key), s.id()) })
		}
	}
}

func (s *Service) id() string { return s.owners.Local().ID }

// holds reports whether a member owns a placement, or is about to.
func holds(p ring.Placement, id string) bool { return p.Owns(id) || p.Target().Owns(id) }

// get answers a read: itself if it may, through another member if it must.
func (s *Service) get(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	p := s.owners.Lookup(key)
	if r.Header.Get(tokenHeader) != "" {
		if !holds(p, s.id()) {
			misdirected(w, p)
			return
		}
		s.answer(w, r, key, p)
		return
	}
	for _, id := range s.order(p, r.URL.Query().Get("from") == "primary") {
		if id == s.id() {
			s.answer(w, r, key, p)
			return
		}
		if reply, err := s.forward(r.Context(), id, r.URL.EscapedPath(), p); err == nil {
			reply.write(w)
			return
		} // it is gone, or its view differs: the next owner may do
	}
	http.Error(w, "no owner of this key answers", http.StatusServiceUnavailable)
}

// order returns whom to ask for a key: this member if it owns it, then the
// owners of its zone, of its region, and the rest. Or, for who wants what was
// written last and pays the way to another zone for it, the primary first.
func (s *Service) order(p ring.Placement, primaryFirst bool) (ids []string) {
	self := s.owners.Local()
	if !primaryFirst {
		p = p.Prefer(self.Region, self.Zone)
		if p.Owns(self.ID) {
			return []string{self.ID}
		}
	}
	for _, owner := range p.All() {
		ids = append(ids, owner.ID())
	}
	return ids
}

// answer answers a read of a key that this member owns.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, key string, p ring.Placement) {
	self := s.owners.Local()
	h := w.Header()
	h.Set(memberHeader, self.ID)
	h.Set(zoneHeader, self.Zone)
	result := "hit"
	v, ok := s.store.Get(key)
	if !ok && r.Header.Get("Cache-Control") != onlyIfCached {
		if v, ok = s.fill(r.Context(), r.URL.EscapedPath(), p); ok {
			result = "fill"
			s.store.Put(key, v)
		}
	}
	if !ok {
		h.Set(resultHeader, "miss")
		http.Error(w, "not in the cache", http.StatusNotFound)
		return
	}
	h.Set(resultHeader, result)
	h.Set(writtenHeader, strconv.FormatInt(v.Written.UnixNano(), 10))
	h.Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(v.Content) // to a reader that may have gone
}

// put takes a write. From a user it goes to all owners, as well as may be: who
// is not reached has an old value, or none, until it is too old or written again.
func (s *Service) put(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxValue))
	if err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "reading the value: "+err.Error(), status)
		return
	}
	p := s.owners.Lookup(key)
	if r.Header.Get(tokenHeader) != "" {
		s.take(w, r, key, content, p)
		return
	}
	stored, all := s.spread(r.Context(), r.URL.EscapedPath(), key, Value{content, time.Now()}, p)
	w.Header().Set(storedHeader, fmt.Sprintf("%d/%d", stored, all))
	if stored == 0 {
		http.Error(w, "no owner of this key answers", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take stores what another member sends.
func (s *Service) take(w http.ResponseWriter, r *http.Request, key string, content []byte, p ring.Placement) {
	if !holds(p, s.id()) {
		misdirected(w, p)
		return
	}
	written, err := parseWritten(r.Header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.store.Put(key, Value{content, written})
	w.WriteHeader(http.StatusNoContent)
}

// spread sends a value to all who own it or are about to, at the same time, and
// returns how many took it, of how many.
func (s *Service) spread(ctx context.Context, path, key string, v Value, p ring.Placement) (stored, all int) {
	ids := make(map[string]bool)
	for _, placement := range []ring.Placement{p, p.Target()} {
		for _, owner := range placement.All() {
			ids[owner.ID()] = true
		}
	}
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
	)
	for id := range ids {
		if id == s.id() {
			s.store.Put(key, v)
			mu.Lock()
			stored++
			mu.Unlock()
			continue
		}
		wait.Go(func() {
			if s.send(ctx, id, path, v, p) == nil {
				mu.Lock()
				stored++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return stored, len(ids)
}

// misdirected refuses a request of a member whose view differs. It is not
// forwarded: two members that differ could send it to and fro.
func misdirected(w http.ResponseWriter, p ring.Placement) {
	w.Header().Set(tokenHeader, p.Token().String())
	http.Error(w, "not an owner of this key, by this member's view", http.StatusMisdirectedRequest)
}
