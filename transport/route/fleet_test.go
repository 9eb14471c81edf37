package route_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// seen is a RouterCluster whose view a test sets.
type seen struct {
	mu      sync.Mutex
	view    route.View
	changed chan struct{}
}

func newSeen(cluster, id string) *seen {
	return &seen{view: route.View{ClusterName: cluster, NodeID: id}, changed: make(chan struct{})}
}

func (s *seen) View() route.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

func (s *seen) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// set publishes another view: a ring over nodes and the members that go with it.
func (s *seen) set(r *ring.Ring, members []membership.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Version++
	s.view.Ring, s.view.Members = r, members
	if r != nil {
		s.view.Fingerprint = r.Fingerprint()
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// signal wakes waiting requests although the view is the same.
func (s *seen) signal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// byPath returns the first segment of the path as the key; "/free" has no key.
func byPath(r *http.Request) (string, bool) {
	key, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return key, key != "free"
}

// station is one member with a router in front of its handler.
type station struct {
	*seen
	id     string
	router *route.Router
	server *httptest.Server
	front  atomic.Pointer[http.Handler] // the handler of the server: the router
	opened atomic.Int64                 // connections to the server
	mu     sync.Mutex
	got    []*http.Request
}

// put replaces the handler of the server.
func (s *station) put(h http.Handler) { s.front.Store(&h) }

// fleet is a set of members that route to each other over loopback.
type fleet struct {
	t        testing.TB
	stations []*station
	members  []membership.Member
	client   *http.Client
}

// newFleet starts the members n1, n2, ... in their places, each "region/zone". The
// handler runs on all of them. A nil handler answers with the member's ID.
func newFleet(t testing.TB, handler http.HandlerFunc, edit func(*route.Options), places ...string) *fleet {
	t.Helper()
	return newFleetOf(t, "orders", handler, edit, places...)
}

// newFleetOf starts members of a cluster.
func newFleetOf(t testing.TB, cluster string, handler http.HandlerFunc, edit func(*route.Options), places ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for i, place := range places {
		s := &station{seen: newSeen(cluster, fmt.Sprintf("n%d", i+1)), id: fmt.Sprintf("n%d", i+1)}
		o := route.Options{Service: "kv", Key: byPath, Logger: testkit.Quiet()}
		if edit != nil {
			edit(&o)
		}
		own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			s.got = append(s.got, r)
			s.mu.Unlock()
			w.Header().Set("Member", s.id)
			if handler != nil {
				handler(w, r)
				return
			}
			_, _ = io.WriteString(w, s.id)
		})
		var err error
		s.router, err = route.New(s, own, o)
		require.NoError(t, err)
		s.put(s.router)
		s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			(*s.front.Load()).ServeHTTP(w, r)
		}))
		s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.opened.Add(1)
			}
		}
		s.server.Config.Protocols = new(http.Protocols)
		s.server.Config.Protocols.SetHTTP1(true)
		s.server.Config.Protocols.SetUnencryptedHTTP2(true)
		s.server.Start()
		region, zone, _ := strings.Cut(place, "/")
		f.stations = append(f.stations, s)
		f.members = append(f.members, membership.Member{
			ID: s.id, Region: region, Zone: zone, Weight: 1, State: membership.Active,
			Services: map[string]string{"kv": s.server.Listener.Addr().String()},
		})
	}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		for _, s := range f.stations {
			require.NoError(t, s.router.Close())
		}
		for _, s := range f.stations {
			s.server.CloseClientConnections()
			s.server.Close()
		}
	})
	return f
}

// lists is a strategy that gives every partition the same owners, by position.
type lists struct{ order []int }

func (lists) Name() string { return "lists/1" }

func (l lists) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			table.Row(p)[i] = uint16(l.order[i])
		}
	}
	return nil
}

// owned returns a ring in which the members of these numbers own all keys, the primary
// first.
func (f *fleet) owned(numbers ...int) *ring.Ring {
	f.t.Helper()
	var order []int
	for _, n := range numbers {
		order = append(order, n-1)
	}
	return f.build(len(order), lists{order})
}

// build returns a ring over all members.
func (f *fleet) build(replicas int, s ring.RebalanceStrategy) *ring.Ring {
	f.t.Helper()
	var all []ring.Node
	for _, m := range f.members {
		all = append(all, ring.Node{ID: m.ID, Region: m.Region, Zone: m.Zone, Weight: 1})
	}
	r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: replicas, Strategy: s}, all)
	require.NoError(f.t, err)
	return r
}

// agree gives all members the same view.
func (f *fleet) agree(numbers ...int) {
	r := f.owned(numbers...)
	for _, s := range f.stations {
		s.set(r, f.members)
	}
}

// believe gives one member a view of its own.
func (f *fleet) believe(member int, numbers ...int) {
	f.stations[member-1].set(f.owned(numbers...), f.members)
}

// without returns all members except one.
func (f *fleet) without(number int) []membership.Member {
	return slices.Delete(slices.Clone(f.members), number-1, number)
}

// url returns the URL of a path at a member.
func (f *fleet) url(member int, path string) string { return f.stations[member-1].server.URL + path }

// reply is an answer with its whole body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// send sends a request to a member and returns the answer with its body. Headers
// are written "Name: value".
func (f *fleet) send(member int, method, path, body string, headers ...string) (reply, string) {
	f.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	return f.sendFrom(member, method, path, reader, headers...)
}

func (f *fleet) sendFrom(member int, method, path string, body io.Reader, headers ...string) (reply, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url(member, path), body)
	require.NoError(f.t, err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	response, err := f.client.Do(r)
	require.NoError(f.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return reply{response.StatusCode, response.Header}, string(answer)
}

// sum is the number of attempts to members at any distance.
func sum(a route.Attempts) uint64 { return a.Local + a.SameZone + a.SameRegion + a.Remote }

// stats returns the stats of a member's router.
func (f *fleet) stats(member int) route.Stats { return f.stations[member-1].router.Stats() }

// received returns the requests that a member's handler got.
func (f *fleet) received(member int) []*http.Request {
	s := f.stations[member-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// kill closes a member's server and every connection to it.
func (f *fleet) kill(member int) {
	s := f.stations[member-1].server
	s.CloseClientConnections()
	s.Close()
}
