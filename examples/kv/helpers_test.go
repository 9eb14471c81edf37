package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/testbed"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPartitions = 64 // as testbed has it

// row is a store over a network in memory, HTTP included.
type row struct {
	*testbed.Bed

	mu   sync.Mutex
	desk map[string]*desk // by HTTP address
}

// desk is a member.
type desk struct {
	*cluster.Cluster
	store       *Store
	clock       *Clock
	replica     *Replica
	coordinator *Coordinator
	mux         http.ServeMux

	mu     sync.Mutex
	refuse func(*http.Request) error // requests of other members; nil: none
}

// RoundTrip brings a request of one member to another one.
func (r *row) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	d := r.desk[request.URL.Host]
	r.mu.Unlock()
	if d == nil {
		return nil, errors.New("connection refused")
	}
	d.mu.Lock()
	refuse := d.refuse
	d.mu.Unlock()
	if refuse != nil {
		if err := refuse(request); err != nil {
			return nil, err
		}
	}
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, request)
	return w.Result(), nil
}

// refusing sets which requests of other members fail.
func (d *desk) refusing(refuse func(*http.Request) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = refuse
}

// hang lets a request wait until it is given up.
func hang(request *http.Request) error {
	<-request.Context().Done()
	return request.Context().Err()
}

func (r *row) open(i int) *desk {
	r.T.Helper()
	d := &desk{store: NewStore(testPartitions)}
	peers := NewPeers(&http.Client{Transport: r}, replyWithin)
	d.Cluster = r.Make(i, func(o *cluster.Options) {
		o.Handoff = NewMover(d.store, peers)
		o.HandoffOptions = cluster.HandoffOptions{WriteQuorum: majority.Write}
		o.Gossip = membership.Local
	})
	d.clock = NewClock(d.Local().Start.Nonce)
	d.replica = NewReplica(d.Cluster, d.store, d.clock)
	d.coordinator = NewCoordinator(d.Cluster, d.replica, peers, majority, answerWithin)
	d.coordinator.Routes(&d.mux)
	d.replica.Routes(&d.mux)
	r.mu.Lock()
	r.desk[testbed.HTTPAddr(i)] = d
	r.mu.Unlock()
	go d.coordinator.Follow(d.Events(context.Background()))
	require.NoError(r.T, d.Start(r.T.Context()))
	return d
}

// openMany opens the members 1 to n and waits until they own what is theirs.
func (r *row) openMany(n int) (all []*desk) {
	r.T.Helper()
	for i := range n {
		all = append(all, r.open(i+1))
	}
	r.still(all...)
	return all
}

// still waits until members agree and nothing moves.
func (r *row) still(all ...*desk) {
	r.T.Helper()
	r.Await("nothing moves", func() bool {
		for _, d := range all {
			h := d.Handoff()
			if len(d.Members()) != len(all) || d.Fingerprint() != all[0].Fingerprint() || d.Local().State != membership.Active || h.Receiving+h.Releasing+h.Sharing > 0 {
				return false
			}
		}
		return true
	})
	synctest.Wait()
}

// crash makes a member vanish, with all that it had.
func (r *row) crash(i int) {
	r.mu.Lock()
	d := r.desk[testbed.HTTPAddr(i)]
	delete(r.desk, testbed.HTTPAddr(i))
	r.mu.Unlock()
	r.Net.Crash(testbed.Addr(i))
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.Stop(now) // it goes on without us
}

func (d *desk) do(method, key, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, httptest.NewRequest(method, "/kv/"+key, strings.NewReader(body)))
	return w
}

func (d *desk) write(t *testing.T, key, content string) (v Version) {
	t.Helper()
	w := d.do(http.MethodPut, key, content)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.NoError(t, v.UnmarshalText([]byte(w.Header().Get(versionHeader))))
	return v
}

func (d *desk) requireRead(t *testing.T, key, content string) {
	t.Helper()
	w := d.do(http.MethodGet, key, "")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, content, w.Body.String())
}

// holds returns what a member has of a key, whatever it owns.
func (d *desk) holds(key string) Entry { return d.store.Get(d.Lookup(key).Partition(), key) }

// keyWhere returns a key whose placement meets a condition.
func keyWhere(t *testing.T, d *desk, condition func(p ring.Placement) bool) string {
	t.Helper()
	for a := 'a'; a <= 'z'; a++ {
		for b := 'a'; b <= 'z'; b++ {
			if key := string(a) + string(b); condition(d.Lookup(key)) {
				return key
			}
		}
	}
	require.FailNow(t, "no such key")
	return ""
}

func inRow(t *testing.T, test func(t *testing.T, r *row)) {
	t.Helper()
	testbed.Run(t, func(t *testing.T, b *testbed.Bed) {
		r := &row{Bed: b, desk: make(map[string]*desk)}
		test(t, r)
		time.Sleep(2 * replyWithin) // virtual: what goes on in the background ends by then
		for _, d := range r.desk {
			d.coordinator.Close()
		}
	})
}
