package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/examples/internal/testcluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPartitions = 64 // the number of partitions of testcluster

// testCluster is a store over a network in memory, which also carries HTTP.
type testCluster struct {
	*testcluster.Cluster

	walls   [10]wall // the clocks of the machines
	mu      sync.Mutex
	members map[string]*testMember // by HTTP address
}

// testMember is a member.
type testMember struct {
	*cluster.Cluster
	store       *Store
	clock       *Clock
	replica     *Replica
	coordinator *Coordinator
	mux         http.ServeMux

	mu     sync.Mutex
	refuse func(*http.Request) error // which requests of other members fail; nil: none
	side   int                       // the side of a cut
}

// outbound is the round tripper of a member.
type outbound struct {
	*testMember
	tc *testCluster
}

// RoundTrip delivers a request of one member to another one.
func (o outbound) RoundTrip(request *http.Request) (*http.Response, error) {
	o.tc.mu.Lock()
	m := o.tc.members[request.URL.Host]
	cut := m != nil && m.side != o.side
	o.tc.mu.Unlock()
	if m == nil {
		return nil, errors.New("connection refused")
	}
	if cut {
		return nil, hang(request)
	}
	m.mu.Lock()
	refuse := m.refuse
	m.mu.Unlock()
	if refuse != nil {
		if err := refuse(request); err != nil {
			return nil, err
		}
	}
	w := httptest.NewRecorder()
	m.mux.ServeHTTP(w, request)
	return w.Result(), nil
}

// refusing sets which requests of other members fail.
func (m *testMember) refusing(refuse func(*http.Request) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = refuse
}

// hang makes a request wait until its context ends.
func hang(request *http.Request) error {
	<-request.Context().Done()
	return request.Context().Err()
}

func (tc *testCluster) start(i int) *testMember {
	tc.T.Helper()
	m := &testMember{store: NewStore(testPartitions)}
	peers := NewPeers(&http.Client{Transport: outbound{m, tc}}, replyWithin)
	m.Cluster = tc.Make(i, func(o *cluster.Options) {
		o.Handoff = cluster.HandoffOptions{Mover: NewMover(m.store, peers), WriteQuorum: majority.Write}
		o.Gossip.Profile = membership.Local
		o.Bootstrap.MinMembers = 1
	})
	m.clock = NewClock(m.Local().Start.Nonce, tc.walls[i].now)
	m.replica = NewReplica(m.Cluster, m.store, m.clock)
	m.coordinator = NewCoordinator(m.Cluster, m.replica, peers, majority, answerWithin)
	m.coordinator.Routes(&m.mux)
	m.replica.Routes(&m.mux)
	tc.mu.Lock()
	tc.members[testcluster.HTTPAddr(i)] = m
	tc.mu.Unlock()
	go m.coordinator.Follow(m.Events(context.Background()))
	require.NoError(tc.T, m.Start(tc.T.Context()))
	return m
}

// startMany starts the members 1 to n, and waits until they own their partitions.
func (tc *testCluster) startMany(n int) (all []*testMember) {
	tc.T.Helper()
	for i := range n {
		all = append(all, tc.start(i+1))
	}
	tc.still(all...)
	return all
}

// still waits until members agree and nothing moves.
func (tc *testCluster) still(all ...*testMember) {
	tc.T.Helper()
	tc.Await("nothing moves", func() bool {
		for _, m := range all {
			h := m.Handoff().State()
			if len(m.Members()) != len(all) || m.Fingerprint() != all[0].Fingerprint() || m.Local().State != membership.Active || h.Receiving+h.Releasing+h.Sharing > 0 {
				return false
			}
		}
		return true
	})
	synctest.Wait()
}

// cut splits the members 1 to n from the others. With 0 it heals the cut.
func (tc *testCluster) cut(n int) {
	tc.mu.Lock()
	defer tc.mu.Unlock()
	var side []netip.AddrPort
	for i := range len(tc.members) {
		m := tc.members[testcluster.HTTPAddr(i+1)]
		if m.side = 0; i < n {
			m.side = 1
			side = append(side, testcluster.Addr(i+1))
		}
	}
	require.NoError(tc.T, tc.Net.Partition(side))
}

// crash ends a member and deletes its data, without an announcement.
func (tc *testCluster) crash(i int) {
	tc.mu.Lock()
	m := tc.members[testcluster.HTTPAddr(i)]
	delete(tc.members, testcluster.HTTPAddr(i))
	tc.mu.Unlock()
	tc.Net.Crash(testcluster.Addr(i))
	_ = m.Stop(bubble.Ended()) // Stop continues in the background
}

func (m *testMember) do(method, key, body string) *httptest.ResponseRecorder {
	return m.doAfter("", method, key, body)
}

// doAfter sends a request with the version that a client has seen, if any.
func (m *testMember) doAfter(version, method, key, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/kv/"+key, strings.NewReader(body))
	if version != "" {
		request.Header.Set(versionHeader, version)
	}
	w := httptest.NewRecorder()
	m.mux.ServeHTTP(w, request)
	return w
}

func (m *testMember) write(t *testing.T, key, content string) (v Version) {
	t.Helper()
	w := m.do(http.MethodPut, key, content)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.NoError(t, v.UnmarshalText([]byte(w.Header().Get(versionHeader))))
	return v
}

func (m *testMember) requireRead(t *testing.T, key, content string) {
	t.Helper()
	w := m.do(http.MethodGet, key, "")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, content, w.Body.String())
}

// holds returns the value of a key that a member stores, whether it is an owner or not.
func (m *testMember) holds(key string) Entry { return m.store.Get(m.Lookup(key).Partition(), key) }

// keyWhere returns a key whose placement meets a condition.
func keyWhere(t *testing.T, m *testMember, condition func(p ring.Placement) bool) string {
	t.Helper()
	for a := 'a'; a <= 'z'; a++ {
		for b := 'a'; b <= 'z'; b++ {
			if key := string(a) + string(b); condition(m.Lookup(key)) {
				return key
			}
		}
	}
	require.FailNow(t, "no such key")
	return ""
}

func inCluster(t *testing.T, test func(t *testing.T, tc *testCluster)) {
	t.Helper()
	testcluster.Run(t, func(t *testing.T, b *testcluster.Cluster) {
		tc := &testCluster{Cluster: b, members: make(map[string]*testMember)}
		test(t, tc)
		time.Sleep(2 * replyWithin) // virtual: what goes on in the background ends by then
		for _, m := range tc.members {
			m.coordinator.Close()
		}
	})
}
