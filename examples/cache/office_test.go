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
	"github.com/clusterkit/clusterkit/examples/internal/testbed"
	"github.com/clusterkit/clusterkit/ring"
)

// office is a cache over a network in memory, HTTP included.
type office struct {
	*testbed.Bed
	desks map[string]*desk // by HTTP address

	mu   sync.Mutex
	sent []*http.Request // between members
}

// desk is a member with its service.
type desk struct {
	*cluster.Cluster
	*Service
	mux  http.ServeMux
	down bool // connections are refused
	hung bool // connections are accepted, and that is all
}

func newOffice(b *testbed.Bed) *office { return &office{Bed: b, desks: make(map[string]*desk)} }

// RoundTrip brings a request of one member to another one.
func (o *office) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.sent = append(o.sent, r)
	o.mu.Unlock()
	d := o.desks[r.URL.Host]
	switch {
	case d == nil || d.down:
		return nil, errors.New("connection refused")
	case d.hung:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	return w.Result(), nil
}

// forwarded returns how many requests went between members since the last call.
func (o *office) forwarded() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.sent)
	o.sent = nil
	return n
}

func (o *office) open(i int) *desk {
	o.T.Helper()
	d := &desk{Cluster: o.Make(i, nil)}
	d.Service = NewService(d.Cluster, NewStore(1<<20, time.Hour), &http.Client{Transport: o}, patience)
	d.Routes(&d.mux)
	o.desks[testbed.HTTPAddr(i)] = d
	go d.Follow(d.Events(context.Background()))
	require.NoError(o.T, d.Start(o.T.Context()))
	return d
}

// openMany opens the members 1 to n, two in each zone when there are six.
func (o *office) openMany(n int) (all []*desk) {
	o.T.Helper()
	for i := range n {
		all = append(all, o.open(i+1))
	}
	o.agree(all...)
	return all
}

func (o *office) agree(all ...*desk) {
	o.T.Helper()
	var clusters []*cluster.Cluster
	for _, d := range all {
		clusters = append(clusters, d.Cluster)
	}
	o.Agree(clusters...)
}

// crash makes a member vanish and waits until the others have noticed.
func (o *office) crash(i int, survivors ...*desk) {
	o.T.Helper()
	o.vanish(i)
	o.agree(survivors...)
}

// vanish makes a member vanish.
func (o *office) vanish(i int) {
	d := o.desks[testbed.HTTPAddr(i)]
	d.down = true
	o.Net.Crash(testbed.Addr(i))
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.Stop(now)
}

func (d *desk) do(method, path string, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	return w
}

func (d *desk) write(t *testing.T, key, content, stored string) {
	t.Helper()
	answer := d.do(http.MethodPut, "/cache/"+key, content)
	require.Equal(t, http.StatusNoContent, answer.Code)
	require.Equal(t, stored, answer.Header().Get(storedHeader))
}

// read reads a key, which must come out as it should. It returns who answered.
func (d *desk) read(t *testing.T, path, content, result string) (member string) {
	t.Helper()
	answer := d.do(http.MethodGet, "/cache/"+path, "")
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
func keyWhere(t *testing.T, d *desk, condition func(p ring.Placement) bool) string {
	t.Helper()
	for i := range 10_000 {
		key := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		if condition(d.Lookup(key)) {
			return key
		}
	}
	require.FailNow(t, "no such key")
	return ""
}

func inOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	testbed.Run(t, func(t *testing.T, b *testbed.Bed) {
		test(t, newOffice(b))
		synctest.Wait()
	})
}
