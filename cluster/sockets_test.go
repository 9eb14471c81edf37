package cluster_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// onLoopback makes member n of a cluster on real sockets that serves HTTP.
func onLoopback(t *testing.T, n int, edits ...edit) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(options(n, append([]edit{func(o *cluster.Options) {
		o.GossipAddr, o.HTTPAddr = fmt.Sprintf("127.0.100.%d:0", n), fmt.Sprintf("127.0.100.%d:0", n)
		o.Gossip.Profile, o.Seeds = membership.Local, nil
	}}, edits...)...))
	require.NoError(t, err)
	t.Cleanup(func() { stopped(t, c) })
	return c
}

// noLeak requires, after all later cleanups, that no new goroutine is left. The
// goroutines of memberlist end within a few probe intervals.
func noLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		var err error
		awaitWithin(t, 20*time.Second, "goroutines to end", func() bool {
			err = goleak.Find(before)
			return err == nil
		})
	})
}

// get is the status and body of an HTTP answer.
func get(t *testing.T, client *http.Client, addr, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodGet, "http://"+addr+path, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// recorded is a handler's answer to a GET.
func recorded(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func TestHTTPEndToEnd(t *testing.T) {
	noLeak(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	all := []*cluster.Cluster{onLoopback(t, 1)}
	require.Empty(t, all[0].HTTPAddr())
	require.Empty(t, all[0].Local().HTTPAddr, "there is nothing to announce yet")
	require.NoError(t, all[0].Start(within(t, 20*time.Second)))
	for n := 2; n <= 3; n++ {
		c := onLoopback(t, n, func(o *cluster.Options) { o.Seeds = []string{all[0].Local().Addr.String()} })
		require.NoError(t, c.Start(within(t, 20*time.Second)))
		all = append(all, c)
	}
	agreed(t, all)

	answers := make(map[string]int)
	for _, c := range all {
		addr := c.HTTPAddr()
		require.Equal(t, addr, c.Local().HTTPAddr, "what is bound is announced")
		m, _ := all[0].Member(c.Local().ID)
		require.Equal(t, addr, m.HTTPAddr)
		for _, path := range []string{"/readyz", "/livez", "/v1/health", "/v1/members", "/v1/ring"} {
			status, body := get(t, client, addr, path)
			require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		}
		status, body := get(t, client, addr, "/v1/lookup?key=user:42")
		require.Equal(t, http.StatusOK, status, body)
		answers[body]++
	}
	require.Len(t, answers, 1, "byte for byte the same from all members: %v", answers)

	// A draining member is unready and alive.
	require.NoError(t, all[2].Drain(within(t, 20*time.Second)))
	status, _ := get(t, client, all[2].HTTPAddr(), "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	_, body := get(t, client, all[2].HTTPAddr(), "/v1/health")
	require.Contains(t, body, api.ProblemLeaving)
	status, _ = get(t, client, all[2].HTTPAddr(), "/livez")
	require.Equal(t, http.StatusOK, status)

	// After Stop the listener is closed, and the handler still answers where it is
	// mounted.
	addr, handler := all[2].HTTPAddr(), all[2].Handler()
	stopped(t, all[2])
	require.Empty(t, all[2].HTTPAddr())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/livez", nil)
	require.NoError(t, err)
	_, err = client.Do(request) //nolint:bodyclose // there is no answer
	require.Error(t, err)
	mounted := recorded(handler, "/livez")
	require.Equal(t, http.StatusOK, mounted.Code)
	require.Equal(t, http.StatusServiceUnavailable, recorded(handler, "/readyz").Code)
}

func TestTheHandlerBeforeStart(t *testing.T) {
	c, err := cluster.New(options(1))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, recorded(c.Handler(), "/livez").Code)
	require.Equal(t, http.StatusServiceUnavailable, recorded(c.Handler(), "/readyz").Code)
	require.Equal(t, http.StatusServiceUnavailable, recorded(c.Handler(), "/v1/lookup?key=k").Code)
}

// The addresses can be bound again at once after Stop, many times.
func TestAddressesAreFreeAfterStop(t *testing.T) {
	noLeak(t)
	gossip, web := freeAddr(t, "127.0.101.1"), freeAddr(t, "127.0.101.1")
	for range 3 {
		c := onLoopback(t, 1, func(o *cluster.Options) { o.GossipAddr, o.HTTPAddr = gossip, web })
		require.NoError(t, c.Start(within(t, 20*time.Second)))
		require.Equal(t, gossip, c.Local().Addr.String())
		require.Equal(t, web, c.HTTPAddr())
		require.NoError(t, c.WaitReady(t.Context()))
		stopped(t, c)
		bindable(t, gossip, web)
	}
}

func bindable(t *testing.T, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		p, err := net.ListenPacket("udp", addr)
		require.NoError(t, err)
		require.NoError(t, p.Close())
	}
}

// A failed Start leaves no socket and no goroutine, at whichever step it fails.
func TestAStartThatFailsReleasesEverything(t *testing.T) {
	noLeak(t)
	gossip, web := freeAddr(t, "127.0.102.1"), freeAddr(t, "127.0.102.1")
	taken, err := net.Listen("tcp", "127.0.102.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	addresses := func(gossip, web string) edit {
		return func(o *cluster.Options) { o.GossipAddr, o.HTTPAddr = gossip, web }
	}
	start := func(ctx context.Context, gossip, web string) error {
		c := onLoopback(t, 1, addresses(gossip, web))
		err := c.Start(ctx)
		require.Error(t, err)
		require.Empty(t, c.HTTPAddr())
		return err
	}
	require.ErrorContains(t, start(t.Context(), gossip, taken.Addr().String()), "cluster: serving HTTP on ")
	bindable(t, gossip)
	require.ErrorContains(t, start(t.Context(), taken.Addr().String(), web), "cluster: membership: listening on ")
	bindable(t, web)
	require.ErrorIs(t, start(ended(), gossip, web), context.Canceled)
	bindable(t, gossip, web)
}

// A member that still looks for a cluster can be stopped.
func TestStopDuringStartOnSockets(t *testing.T) {
	noLeak(t)
	gossip, web := freeAddr(t, "127.0.103.1"), freeAddr(t, "127.0.103.1")
	c := onLoopback(t, 1, func(o *cluster.Options) {
		o.GossipAddr, o.HTTPAddr, o.Seeds = gossip, web, []string{freeAddr(t, "127.0.103.2")} // no member listens there
	})
	started := make(chan error, 1)
	go func() { started <- c.Start(context.Background()) }()
	awaitWithin(t, 10*time.Second, "HTTP to be bound", func() bool { return c.HTTPAddr() != "" })
	stopped(t, c)
	require.ErrorIs(t, <-started, cluster.ErrStopped)
	bindable(t, gossip, web)
}

// carrying is a handler's answer to a GET with a token.
func carrying(h http.Handler, token, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	h.ServeHTTP(w, r)
	return w
}
