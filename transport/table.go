package transport

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// table answers with the whole table. A request that names the table that it has, and a
// time to wait, waits for another table.
func (h *Handler) table(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	wait, err := waitOf(values)
	if err != nil {
		return err
	}
	if wait > 0 && r.Method == http.MethodGet {
		leave, err := h.occupy(w, r)
		if err != nil {
			return err
		}
		defer leave()
		extend(w, wait)
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for ended := wait == 0 || r.Method == http.MethodHead; ; {
		changed, stopping, closing := h.changes(r.Context())
		view, err := h.serving(w)
		if err != nil {
			return err
		}
		t, err := h.tables.of(view)
		if err != nil {
			return err
		}
		if !t.matches(r.Header["If-None-Match"]) {
			return h.writeTable(w, r, t)
		}
		if ended {
			t.head(w)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		select {
		case <-changed:
		case <-over.C:
			ended = true
		case <-stopping:
			ended = true
		case <-closing:
			ended = true
		case <-r.Context().Done():
			return http.ErrAbortHandler // nobody reads an answer
		}
	}
}

// encodedTable is the table of a view, in its two forms.
type encodedTable struct {
	document api.Placements
	etag     string // without quotes
	binary   []byte
	json     func() ([]byte, error) // encodes at its first call
	size     int64                  // the approximate size of both forms and the document
	readers  readers
}

func (t *encodedTable) head(w http.ResponseWriter) {
	// Weak, because both forms have the same tag.
	w.Header().Set("ETag", `W/"`+t.etag+`"`)
	w.Header().Set("Vary", "Accept")
}

// writeTable answers with a table. All requests that it is sent to share its memory, so
// it counts once, for no client. Each request counts with the buffers of its connection.
func (h *Handler) writeTable(w http.ResponseWriter, r *http.Request, t *encodedTable) error {
	l := h.lease(r)
	defer l.end()
	if err := l.resize(w, 2*pieceBytes); err != nil {
		return err
	}
	if !t.readers.join(func() bool { return h.memory.take(sharedTable, t.size, l.most, l.most) }) {
		return h.overloaded(w)
	}
	defer t.readers.leave(func() { h.memory.give(sharedTable, t.size) })
	kind, body := wire.Table, t.binary
	if !prefers(r, wire.Table, wire.JSON) {
		text, err := t.json()
		if err != nil {
			return err
		}
		kind, body = wire.JSON, text
	}
	t.head(w)
	wire.Write(w, r, http.StatusOK, kind, body)
	return nil
}

// sharedTable is the client for which tables count, which is no address of a unicast host.
var sharedTable = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// readers counts the requests that share one thing.
type readers struct {
	mu    sync.Mutex
	count int
}

// join adds a request. The first one takes the thing, and fails where take does.
func (r *readers) join(take func() bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 && !take() {
		return false
	}
	r.count++
	return true
}

// leave removes a request. The last one gives the thing back.
func (r *readers) leave(give func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count--; r.count == 0 {
		give()
	}
}

// matches reports whether a header If-None-Match names this table: by its tag, or by its
// fingerprint alone, for callers that addresses do not matter to.
func (t *encodedTable) matches(header []string) bool {
	for _, value := range header {
		for part := range strings.SplitSeq(value, ",") {
			tag := strings.TrimPrefix(strings.TrimSpace(part), "W/")
			if tag == "*" || tag == `"`+t.etag+`"` || tag == `"`+t.document.Fingerprint.String()+`"` {
				return true
			}
		}
	}
	return false
}

// tables keeps the encoded table of the last view that was requested, so that all callers
// that wait for it share it.
type tables struct {
	mu      sync.Mutex
	ring    weak.Pointer[ring.Ring]
	members weak.Pointer[membership.Member] // the first one: a list of members never changes
	count   int
	last    *encodedTable
}

func (s *tables) of(view route.View) (*encodedTable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var members weak.Pointer[membership.Member]
	if len(view.Members) > 0 {
		members = weak.Make(&view.Members[0])
	}
	key := weak.Make(view.Ring)
	if s.last != nil && s.ring == key && s.members == members && s.count == len(view.Members) && s.last.document.Fingerprint == view.Fingerprint {
		return s.last, nil
	}
	t, err := encodeTable(view)
	if err != nil {
		return nil, err
	}
	s.ring, s.members, s.count, s.last = key, members, len(view.Members), t
	return t, nil
}

func encodeTable(view route.View) (*encodedTable, error) {
	t := &encodedTable{document: placementsOf(view)}
	var err error
	if t.binary, err = t.document.MarshalBinary(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	// The fingerprint does not cover the addresses, which a copy of the table needs too.
	digest := fnv.New64a()
	_, _ = digest.Write(t.binary) // Write of a hash cannot fail
	slots := len(t.document.Serving.Owners)
	if t.document.Target != nil {
		slots += len(t.document.Target.Owners)
	}
	t.size = int64(8*slots + 3*len(t.binary)) // 2 bytes a slot in the document, up to 6 in JSON
	t.etag = fmt.Sprintf("%v-%016x", view.Fingerprint, digest.Sum64())
	t.json = sync.OnceValues(func() ([]byte, error) {
		var body bytes.Buffer
		if err := wire.NewEncoder(&body).Encode(t.document); err != nil {
			return nil, fmt.Errorf("transport: encoding the table: %w", err)
		}
		return body.Bytes(), nil
	})
	return t, nil
}

// placementsOf returns the table of a view as a document.
func placementsOf(view route.View) api.Placements {
	p := api.Placements{
		ClusterName: view.ClusterName, Fingerprint: view.Fingerprint, Configuration: view.Configuration,
		Members: make([]api.Endpoint, 0, len(view.Members)),
		Serving: tableOf(view.Ring),
	}
	for _, m := range view.Members {
		e := api.Endpoint{ID: m.ID, State: m.State.String(), HTTPAddr: m.HTTPAddr}
		if len(m.Services) > 0 {
			e.Services = m.Services
		}
		p.Members = append(p.Members, e)
	}
	if target := view.Ring.Target(); target != view.Ring {
		t := tableOf(target)
		p.Target = &t
	}
	return p
}

func tableOf(r *ring.Ring) api.PlacementTable {
	alone, err := r.Toward(nil) // the ring without its target
	if err != nil {
		alone = r
	}
	config, nodes := r.Config(), r.Nodes()
	t := api.PlacementTable{
		Fingerprint: alone.Fingerprint(), Strategy: config.Strategy.Name(),
		PartitionCount: r.PartitionCount(), ReplicationFactor: config.ReplicationFactor, WriteQuorum: config.WriteQuorum, Replicas: r.Replicas(),
		Nodes: make([]api.PlacementNode, len(nodes)), Owners: make([]uint16, 0, r.PartitionCount()*r.Replicas()),
	}
	index := make(map[string]uint16, len(nodes))
	for i, n := range nodes {
		index[n.ID] = uint16(i)
		t.Nodes[i] = api.PlacementNode{ID: n.ID, Region: n.Region, Zone: n.Zone, Weight: n.Weight, Start: n.Start}
	}
	for _, p := range r.All() {
		for _, o := range p.All() {
			t.Owners = append(t.Owners, index[o.ID()])
		}
	}
	return t
}
