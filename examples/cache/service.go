package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

const maxValue = 1 << 20 // bytes

// Headers of requests between members, and of answers.
const (
	// tokenHeader marks a request of another member. It holds the token by which the
	// sender chose this member. An answer of 421 holds this member's token.
	tokenHeader = "Cache-Token"
	// versionHeader and ageHeader are the version and the age of a value: see [Value].
	// The age is in nanoseconds. An answer of 409 to a write holds the higher version.
	versionHeader, ageHeader = "Cache-Version", "Cache-Age"
	// memberHeader and zoneHeader name the member that answered a read, and its zone.
	// resultHeader says whether that member had the value ("hit"), got it from another
	// owner ("fill"), or found no owner that has it ("miss").
	memberHeader, zoneHeader, resultHeader = "Cache-Member", "Cache-Zone", "Cache-Result"
	// storedHeader says how many of the owners have stored a write, such as "2/3".
	storedHeader = "Cache-Stored"
)

// owners has the methods of *cluster.Cluster that the service uses.
type owners interface {
	Lookup(key string) ring.Placement
	Member(id string) (cluster.Member, bool)
	Local() cluster.Member
}

// Service is one member's part of a cache that is spread over a cluster. Any member
// accepts any request. The nearest owner of the key answers a read. A write goes to all
// owners.
type Service struct {
	owners owners
	store  *Store
	peers  *http.Client
	// patience is how long the service waits for an answer of another member.
	patience time.Duration
}

// NewService returns a service that keeps its values in the store, and sends requests
// to the other members through the client.
func NewService(o owners, store *Store, peers *http.Client, patience time.Duration) *Service {
	return &Service{owners: o, store: store, peers: peers, patience: patience}
}

// Routes adds the cache to a mux: GET and PUT /cache/{key}.
func (s *Service) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /cache/{key}", s.get)
	mux.HandleFunc("PUT /cache/{key}", s.put)
}

// Follow drops the keys that this member does not own any more, after each change of
// the ring, until the events end. Otherwise their values would be old when this member
// owns the keys again.
func (s *Service) Follow(events iter.Seq[cluster.Event]) {
	for e := range events {
		if e.Kind == cluster.RingChanged {
			s.store.Keep(func(key string) bool { return holds(s.owners.Lookup(key), s.id()) })
		}
	}
}

func (s *Service) id() string { return s.owners.Local().ID }

// holds reports whether a member is a serving or a target owner of a placement.
func holds(p ring.Placement, id string) bool { return p.Owns(id) || p.Target().Owns(id) }

// get answers a read: from this member if it is an owner, otherwise through another
// member.
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
		} // this owner is gone, or its view differs: try the next one
	}
	http.Error(w, "no owner of this key answers", http.StatusServiceUnavailable)
}

// order returns the owners of a key in the order in which to ask them: this member if
// it is one, then the owners of its zone, of its region, and the rest. A request for
// the newest value, also from another zone, gets the primary first.
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
	setValue(h, v)
	h.Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(v.Content) // the reader may be gone
}

// put accepts a write. It sends a write of a user to all owners. An owner that cannot
// be reached keeps its old value, or none, until the value is too old or written again.
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
	stored, all := s.spread(r.Context(), r.URL.EscapedPath(), key, content, p)
	w.Header().Set(storedHeader, fmt.Sprintf("%d/%d", stored, all))
	if stored == 0 {
		http.Error(w, "no owner of this key answers", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take stores a value that another member sends.
func (s *Service) take(w http.ResponseWriter, r *http.Request, key string, content []byte, p ring.Placement) {
	if !holds(p, s.id()) {
		misdirected(w, p)
		return
	}
	v, err := value(r.Header, content)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if highest := s.store.Put(key, v); highest > v.Version {
		w.Header().Set(versionHeader, strconv.FormatInt(highest, 10))
		http.Error(w, "there is a higher version", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// spread sends a value to all serving and target owners of its key. It returns how many
// of them stored it, and how many there are. When an owner has a higher version, spread
// sends the value again with an even higher version, so that an earlier value does not
// win.
func (s *Service) spread(ctx context.Context, path, key string, content []byte, p ring.Placement) (stored, all int) {
	now := time.Now()
	v := Value{Content: content, Version: now.UnixNano(), Taken: now}
	for {
		var highest int64
		if stored, all, highest = s.offer(ctx, path, key, v, p); highest <= v.Version || ctx.Err() != nil {
			return stored, all
		}
		v.Version = highest + 1 + rand.Int64N(1000) // another writer may do the same, so this may repeat
	}
}

// offer sends a value to all serving and target owners of its key at the same time. It
// returns how many of them stored it, how many there are, and the highest version of an
// owner.
func (s *Service) offer(ctx context.Context, path, key string, v Value, p ring.Placement) (stored, all int, highest int64) {
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
		wait.Go(func() {
			var there int64
			var err error
			if id == s.id() {
				there = s.store.Put(key, v)
			} else {
				there, err = s.send(ctx, id, path, v, p)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil && there == v.Version {
				stored++
			}
			highest = max(highest, there)
		})
	}
	wait.Wait()
	return stored, len(ids), highest
}

// misdirected refuses a request of a member whose view differs. The request is not
// forwarded, because two members with different views could forward it to each other
// again and again.
func misdirected(w http.ResponseWriter, p ring.Placement) {
	w.Header().Set(tokenHeader, p.Token().String())
	http.Error(w, "not an owner of this key, by this member's view", http.StatusMisdirectedRequest)
}
