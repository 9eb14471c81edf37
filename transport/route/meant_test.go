package route_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// process is one start of a member of a cluster, with the router of a service.
type process struct {
	*seen
	cluster, service, id string
	start                uint64
	router               *route.Router
}

// TestTenThousandRequests run nowhere but in the process that they were meant for, while
// addresses are used again at random by members, clusters, services and later starts.
func TestTenThousandRequests(t *testing.T) {
	const seed = 16
	random := rand.New(rand.NewPCG(seed, seed))
	var processes []*process
	var ran *process // the process whose handler has run
	var sender *seen
	over := wrapped(func(out *http.Request) (*http.Response, error) {
		var at int
		if _, err := fmt.Sscanf(out.URL.Host, "p%d:1", &at); err != nil {
			return nil, err
		}
		w := httptest.NewRecorder()
		in := out.Clone(out.Context())
		in.RequestURI = out.URL.RequestURI()
		processes[at].router.ServeHTTP(w, in)
		return w.Result(), nil
	})
	newRouter := func(s *seen, service string, run func()) *route.Router {
		router, err := route.New(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { run() }), route.Options{
			Service: service, Key: byPath, Logger: testkit.Quiet(), Transport: over, Patience: option.None, MaxAttempts: 3,
		})
		require.NoError(t, err)
		return router
	}
	members := func(starts map[string]uint64) (all []membership.Member) {
		for n := range 3 {
			id := fmt.Sprintf("n%d", n+1)
			all = append(all, membership.Member{ID: id, Start: membership.Start{Number: starts[id]}, Services: map[string]string{"kv": fmt.Sprintf("p%d:1", random.IntN(24))}})
		}
		return all
	}
	f := &fleet{t: t, members: members(nil)}
	owned := f.owned(2, 3)
	for _, cluster := range []string{"production", "staging"} {
		for _, service := range []string{"kv", "log"} {
			for n := range 3 {
				for start := range uint64(2) {
					p := &process{seen: newSeen(cluster, fmt.Sprintf("n%d", n+1)), cluster: cluster, service: service, id: fmt.Sprintf("n%d", n+1), start: start}
					p.set(owned, members(map[string]uint64{p.id: start}))
					p.router = newRouter(p.seen, service, func() {
						require.Nil(t, ran, "seed %d: it ran twice", seed)
						ran = p
					})
					processes = append(processes, p)
				}
			}
		}
	}
	sender = newSeen("production", "n1")
	router := newRouter(sender, "kv", func() { require.Fail(t, "the sender owns nothing") })
	runs := 0
	for i := range 10_000 {
		starts := map[string]uint64{"n2": random.Uint64N(3), "n3": random.Uint64N(3)}
		sender.set(owned, members(starts))
		ran = nil
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), []string{"GET", "PUT", "POST"}[random.IntN(3)], "/k", nil))
		if ran == nil {
			require.NotEqual(t, http.StatusOK, w.Code, "seed %d, request %d", seed, i)
			continue
		}
		runs++
		require.Equal(t, http.StatusOK, w.Code, "seed %d, request %d", seed, i)
		require.Equal(t, []any{"production", "kv", starts[ran.id]}, []any{ran.cluster, ran.service, ran.start}, "seed %d, request %d", seed, i)
	}
	require.Greater(t, runs, 100)
}
