package cluster_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// wires carry requests between the routers of members without a network, by address, to
// the handler that is set there.
type wires struct {
	mu sync.Mutex
	at map[string]http.Handler
}

func (w *wires) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	h := w.at[r.URL.Host]
	w.mu.Unlock()
	if h == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), r.Body)
	in.Header = r.Header.Clone()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, in)
	return answer.Result(), nil
}

// serve sets the handler of an address, or removes it.
func (w *wires) serve(addr string, h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[addr] = h
}

// serviceAddr is the address at which a member serves.
func serviceAddr(id string) string { return id + ":80" }

func withService(o *cluster.Options) {
	o.Services = map[string]string{"kv": serviceAddr(o.NodeID)}
}

// route puts a router in front of a member, which answers with its ID.
func (w *wires) route(t *testing.T, c *cluster.Cluster, patience time.Duration) *route.Router {
	t.Helper()
	id := c.Local().ID
	router, err := c.Router(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, id)
	}), route.Options{
		Service: "kv", Transport: w, Patience: patience,
		Key: func(r *http.Request) (string, bool) { return strings.CutPrefix(r.URL.Path, "/k/") },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, router.Close()) })
	w.serve(serviceAddr(id), router)
	return router
}

func request(h http.Handler, method, key string) (status int, body string, took time.Duration) {
	w, began := httptest.NewRecorder(), time.Now()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, "/k/"+key, nil))
	return w.Code, w.Body.String(), time.Since(began)
}

// TestRoutersOutlastTheCrashOfAMember: reads go to other owners at once, and writes to
// its partitions wait until the cluster has noticed. No request fails.
func TestRoutersOutlastTheCrashOfAMember(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4, withService)
		w := &wires{at: make(map[string]http.Handler)}
		var routers []*route.Router
		for _, c := range all {
			routers = append(routers, w.route(t, c, time.Minute))
		}
		keys := keysOf(all[0], "n4")
		require.NotEmpty(t, keys)
		for _, key := range keys {
			for _, r := range routers {
				status, body, took := request(r, http.MethodPost, key)
				require.Equal(t, "n4", body)
				require.Equal(t, 200, status)
				require.Zero(t, took)
			}
		}

		b.net.Isolate(addrPort(4))
		w.serve(serviceAddr("n4"), nil)
		status, body, took := request(routers[0], http.MethodGet, keys[0])
		require.Equal(t, 200, status, body)
		require.Zero(t, took)
		var writing sync.WaitGroup
		for _, key := range keys {
			for _, r := range routers[:3] {
				writing.Go(func() {
					status, body, took := request(r, http.MethodPost, key)
					if status != 200 || body == "n4" || took == 0 || took > 30*time.Second {
						t.Errorf("key %s: %d %s, after %v", key, status, body, took)
					}
				})
			}
		}
		writing.Wait()
		b.agree(all[:3]...)
		for _, r := range routers[:3] {
			require.Zero(t, r.Stats().GaveUp)
			require.Zero(t, r.Stats().OverBudget)
		}
	})
}

// A router that a member refuses makes the holders of tethers look at that member. Its process runs, so
// that it stays a member.
func TestARefusalAtARouterMakesHoldersLook(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(6, withService)
		w := &wires{at: make(map[string]http.Handler)}
		var routers []*route.Router
		for _, c := range all {
			routers = append(routers, w.route(t, c, 2*time.Second))
		}
		time.Sleep(5 * time.Second) // tethers open
		looked := func() (looks uint64) {
			for _, c := range all {
				looks += c.Metrics().Gossip.Tethers.Examined
			}
			return looks
		}
		key, before := keysOf(all[0], "n4")[0], looked()
		w.serve(serviceAddr("n4"), nil)
		request(routers[0], http.MethodPost, key)
		time.Sleep(time.Second)
		require.Greater(t, looked(), before)
		for _, c := range all {
			require.Len(t, c.Members(), 6)
		}
	})
}

// TestAnObserverSendsToOwners: with a round tripper, also while a member crashes. Requests to
// its keys wait for the new view, and none fails.
func TestAnObserverSendsToOwners(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		w := &wires{at: make(map[string]http.Handler)}
		all := b.startMany(3, withService)
		for _, c := range all {
			w.route(t, c, time.Minute)
		}
		observer := b.start(4, func(o *cluster.Options) { o.Observer = true })
		b.agree(append(all, observer)...)
		rt, err := observer.RoundTripper(route.Options{
			Service: "kv", Transport: w, Patience: time.Minute,
			Key: func(r *http.Request) (string, bool) { return strings.CutPrefix(r.URL.Path, "/k/") },
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, rt.Close()) }()
		post := func(key string) string {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kv/k/"+key, strings.NewReader("x"))
			require.NoError(t, err)
			response, err := rt.RoundTrip(r)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return string(body)
		}
		keys := keysOf(all[0], "n3")
		for _, key := range keys {
			require.Equal(t, "n3", post(key))
		}
		b.net.Isolate(addrPort(3))
		w.serve(serviceAddr("n3"), nil)
		for _, key := range keys {
			require.NotEqual(t, "n3", post(key))
		}

		_, err = observer.RoundTripper(route.Options{})
		require.Error(t, err)
	})
}

// keysOf returns keys whose primary is a given member.
func keysOf(c *cluster.Cluster, id string) (keys []string) {
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"} {
		if primary, _ := c.Lookup(key).Primary(); primary.ID() == id {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestRoutersFollowServiceAddresses: a change of an address moves no key, and routers
// use the new address.
func TestRoutersFollowServiceAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(2, withService)
		w := &wires{at: make(map[string]http.Handler)}
		first, second := w.route(t, all[0], 10*time.Second), w.route(t, all[1], 10*time.Second)
		key := keysOf(all[0], "n2")[0]
		w.serve(serviceAddr("n2"), nil)
		w.serve("elsewhere:80", second)
		go func() {
			time.Sleep(time.Second)
			err := all[1].Update(context.Background(), func(a *membership.Attributes) { a.Services = map[string]string{"kv": "elsewhere:80"} })
			if err != nil {
				t.Error(err)
			}
		}()
		status, body, took := request(first, http.MethodPost, key)
		require.Equal(t, 200, status, body)
		require.Equal(t, "n2", body)
		require.Greater(t, took, time.Second)
	})
}

// TestARouterBeforeStart: before Start a router answers the requests that have no key.
func TestARouterBeforeStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1, withService)
		w := &wires{at: make(map[string]http.Handler)}
		router := w.route(t, c, time.Second)
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/status", nil))
		require.Equal(t, "n1", answer.Body.String())
		status, body, _ := request(router, http.MethodGet, "a")
		require.Equal(t, 503, status)
		require.Contains(t, body, api.RefusalNoRing)
		require.NoError(t, c.Start(t.Context()))
		_, body, _ = request(router, http.MethodGet, "a")
		require.Equal(t, "n1", body)

		_, err := c.Router(nil, route.Options{})
		require.Error(t, err)
	})
}
