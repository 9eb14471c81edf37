package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/examples/internal/testcluster"
	"github.com/clusterkit/clusterkit/ring"
)

// testCluster is a cache over a network in memory, with HTTP.
type testCluster struct {
	*testcluster.Cluster
	members map[string]*testMember // by HTTP address

	mu   sync.Mutex
	sent []*http.Request // between members
}

// testMember is a member with its service.
type testMember struct {
	*cluster.Cluster
	*Service
	mux  http.ServeMux
	down bool // connections to the member are refused
	hung bool // connections are accepted, and requests get no answer
}

func newTestCluster(b *testcluster.Cluster) *testCluster {
	return &testCluster{Cluster: b, members: make(map[string]*testMember)}
}

// RoundTrip delivers a request of one member to another one.
func (tc *testCluster) RoundTrip(r *http.Request) (*http.Response, error) {
	tc.mu.Lock()
	tc.sent = append(tc.sent, r)
	tc.mu.Unlock()
	m := tc.members[r.URL.Host]
	switch {
	case m == nil || m.down:
		return nil, errors.New("connection refused")
	case m.hung:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	m.mux.ServeHTTP(w, r)
	return w.Result(), nil
}

// forwarded returns how many requests went between members since the last call.
func (tc *testCluster) forwarded() int {
	tc.mu.Lock()
	defer tc.mu.Unlock()
	n := len(tc.sent)
	tc.sent = nil
	return n
}

func (tc *testCluster) start(i int) *testMember {
	tc.T.Helper()
	m := &testMember{Cluster: tc.Make(i, nil)}
	m.Service = NewService(m.Cluster, NewStore(1<<20, time.Hour), &http.Client{Transport: tc}, patience)
	m.Routes(&m.mux)
	tc.members[testcluster.HTTPAddr(i)] = m
	go m.Follow(m.Events(context.Background()))
	require.NoError(tc.T, m.Start(tc.T.Context()))
	return m
}

// startMany starts the members 1 to n: with six, two in each zone.
func (tc *testCluster) startMany(n int) (all []*testMember) {
	tc.T.Helper()
	for i := range n {
		all = append(all, tc.start(i+1))
	}
	tc.agree(all...)
	return all
}

func (tc *testCluster) agree(all ...*testMember) {
	tc.T.Helper()
	var clusters []*cluster.Cluster
	for _, m := range all {
		clusters = append(clusters, m.Cluster)
	}
	tc.Agree(clusters...)
}

// crash makes a member vanish and waits until the others have noticed.
func (tc *testCluster) crash(i int, survivors ...*testMember) {
	tc.T.Helper()
	tc.vanish(i)
	tc.agree(survivors...)
}

// vanish makes a member vanish.
func (tc *testCluster) vanish(i int) {
	m := tc.members[testcluster.HTTPAddr(i)]
	m.down = true
	tc.Net.Crash(testcluster.Addr(i))
	_ = m.Stop(bubble.Ended())
}

func (m *testMember) do(method, path string, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.mux.ServeHTTP(w, r)
	return w
}

func (m *testMember) write(t *testing.T, key, content, stored string) {
	t.Helper()
	answer := m.do(http.MethodPut, "/cache/"+key, content)
	require.Equal(t, http.StatusNoContent, answer.Code)
	require.Equal(t, stored, answer.Header().Get(storedHeader))
}

// read reads a key, and requires the expected value. It returns the member that
// answered.
func (m *testMember) read(t *testing.T, path, content, result string) (member string) {
	t.Helper()
	answer := m.do(http.MethodGet, "/cache/"+path, "")
	require.Equal(t, result, answer.Header().Get(resultHeader))
	status := http.StatusOK
	if result == "miss" {
		status = http.StatusNotFound
	}
	require.Equal(t, status, answer.Code)
	require.Equal(t, content, answer.Body.String())
	return answer.Header().Get(memberHeader)
}

const missing = "not in the cache\n"

// keyWhere returns a key whose placement meets a condition.
func keyWhere(t *testing.T, m *testMember, condition func(p ring.Placement) bool) string {
	t.Helper()
	for i := range 10_000 {
		key := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		if condition(m.Lookup(key)) {
			return key
		}
	}
	require.FailNow(t, "no such key")
	return ""
}

func inCluster(t *testing.T, test func(t *testing.T, tc *testCluster)) {
	t.Helper()
	testcluster.Run(t, func(t *testing.T, b *testcluster.Cluster) {
		test(t, newTestCluster(b))
		synctest.Wait()
	})
}
