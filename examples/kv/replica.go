package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

// Headers of requests between members and of their answers. Users get and send the
// version, too.
const (
	// versionHeader is the version of a value.
	versionHeader = "Kv-Version"
	// deletedHeader marks a deleted value.
	deletedHeader = "Kv-Deleted"
	// tokenHeader holds the token of the sender's placement. A refusal holds the token
	// of this member's placement.
	tokenHeader = "Kv-Token"
	// startHeader says which start of the member answers.
	startHeader = "Kv-Start"
	// clockHeader is the time by the clock of the member that answers.
	clockHeader = "Kv-Clock"
	// countsHeader says whether an answer counts as one of a read quorum.
	countsHeader = "Kv-Counts"
)

// pageBytes is the approximate size of a page.
const pageBytes = 256 << 10

// Replica is the part of a member that holds values. A quorum consists of replicas.
type Replica struct {
	cluster *cluster.Cluster
	store   *Store
	clock   *Clock
}

// NewReplica returns the replica of a member.
func NewReplica(c *cluster.Cluster, store *Store, clock *Clock) *Replica {
	return &Replica{c, store, clock}
}

// Write merges an entry, if sender and receiver mean the same owners. It returns the
// version that the replica then has. If that is a higher version, the write has no
// effect, and must not be acknowledged.
func (r *Replica) Write(partition int, token ring.Token, key string, e Entry) (newest Version, err error) {
	done, err := r.cluster.Handoff().Admit(partition, token)
	if err != nil {
		return Version{}, err
	}
	defer done() // the entry is stored: every later reader of this partition gets it
	r.clock.See(e.Version)
	return r.store.Put(partition, key, e), nil
}

// Read returns the entry of a key, if the answer counts in a read quorum.
func (r *Replica) Read(partition int, token ring.Token, key string) (Entry, error) {
	e := r.store.Get(partition, key)
	// Serve is called after the read: a member that was an owner before may not be one
	// any more, and may have deleted the data meanwhile.
	return e, r.cluster.Handoff().Serve(partition, token)
}

// Highest is the version of a key on a replica.
type Highest struct {
	Version Version
	Now     int64 // by the clock of the member that answers
	Counts  bool  // whether the answer counts in a read quorum
}

// Highest returns the version of a key on this replica, if sender and receiver mean the
// same owners. The result says whether the owner has received all data.
func (r *Replica) Highest(partition int, token ring.Token, key string) (Highest, error) {
	e, err := r.Read(partition, token, key)
	h := Highest{e.Version, r.clock.Now(), err == nil}
	if errors.Is(err, cluster.ErrNotReceived) {
		err = nil
	}
	return h, err
}

// Routes adds the routes for other members to a mux. Only members should use them.
func (r *Replica) Routes(mux *http.ServeMux) {
	mux.HandleFunc("PUT /replica/{partition}", r.put)
	mux.HandleFunc("GET /replica/{partition}", r.get)
	mux.HandleFunc("HEAD /replica/{partition}", r.head)
	mux.HandleFunc("GET /partition/{partition}", r.page)
}

func (r *Replica) put(w http.ResponseWriter, request *http.Request) {
	p, token, key, err := r.address(request)
	var e Entry
	if err == nil {
		err = e.Version.UnmarshalText([]byte(request.Header.Get(versionHeader)))
	}
	if err == nil {
		e.Deleted = request.Header.Get(deletedHeader) != ""
		e.Content, err = readValue(w, request)
	}
	if err != nil {
		fail(w, err)
		return
	}
	newest, err := r.Write(p, token, key, e)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set(versionHeader, newest.String())
	w.WriteHeader(http.StatusNoContent)
}

func (r *Replica) get(w http.ResponseWriter, request *http.Request) {
	p, token, key, err := r.address(request)
	if err != nil {
		fail(w, err)
		return
	}
	e, err := r.Read(p, token, key)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set(versionHeader, e.Version.String())
	if e.Deleted {
		w.Header().Set(deletedHeader, "1")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(e.Content) // the reader may be gone
}

func (r *Replica) head(w http.ResponseWriter, request *http.Request) {
	p, token, key, err := r.address(request)
	if err != nil {
		fail(w, err)
		return
	}
	h, err := r.Highest(p, token, key)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set(versionHeader, h.Version.String())
	w.Header().Set(clockHeader, strconv.FormatInt(h.Now, 10))
	w.Header().Set(countsHeader, strconv.FormatBool(h.Counts))
}

// page answers a process that receives a partition. It does not check ownership: the
// library has checked it, and checks again after the merge.
func (r *Replica) page(w http.ResponseWriter, request *http.Request) {
	p, err := r.partition(request)
	if err != nil {
		fail(w, err)
		return
	}
	items, more := r.store.Page(p, request.URL.Query().Get("after"), pageBytes)
	w.Header().Set(startHeader, startText(r.cluster.Local()))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Page{items, more}) // the reader may be gone
}

func (r *Replica) partition(request *http.Request) (int, error) {
	text := request.PathValue("partition")
	p, err := strconv.Atoi(text)
	if err != nil || p < 0 || p >= r.store.Partitions() {
		return 0, badRequest("partition %q: must be from 0 to %d", text, r.store.Partitions()-1)
	}
	return p, nil
}

// address returns the partition and the token of a request of another member.
func (r *Replica) address(request *http.Request) (p int, token ring.Token, key string, err error) {
	if p, err = r.partition(request); err != nil {
		return 0, 0, "", err
	}
	if err = token.UnmarshalText([]byte(request.Header.Get(tokenHeader))); err != nil {
		return 0, 0, "", badRequest("%s: %v", tokenHeader, err)
	}
	key = request.URL.Query().Get("key")
	return p, token, key, checkKey(key)
}

// startText formats a start of a member.
func startText(m cluster.Member) string { return strconv.FormatUint(m.Start.Nonce, 16) }

// statusOf returns the status with which another member gets an error.
func statusOf(err error) int {
	if bad, ok := errors.AsType[*requestError](err); ok {
		return bad.status
	}
	if _, ok := errors.AsType[*cluster.TokenError](err); ok {
		return http.StatusConflict
	}
	switch {
	case errors.Is(err, cluster.ErrNotOwner):
		return http.StatusMisdirectedRequest
	case errors.Is(err, cluster.ErrFenced), errors.Is(err, cluster.ErrNotReceived):
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

func fail(w http.ResponseWriter, err error) {
	if differ, ok := errors.AsType[*cluster.TokenError](err); ok {
		w.Header().Set(tokenHeader, differ.Ours.String())
	}
	http.Error(w, err.Error(), statusOf(err))
}
