package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// clientOf makes a client of a handler that is served below a path prefix.
func clientOf(t *testing.T, h http.Handler, o client.Options) *client.Client {
	t.Helper()
	srv, _ := testkit.Serve(t, http.StripPrefix("/cluster", h), transport.ServerOptions{})
	o.URLs = []string{"http://" + srv.Addr().String() + "/cluster/"}
	return testkit.NewClient(t, o)
}

// document decodes the answer of a handler into the type that the client returns.
func document[T any](t *testing.T, h http.Handler, method, target, body string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(call(h, method, target, body), &v))
	return v
}

// call sends a request to a handler without a network.
func call(h http.Handler, method, target, body string) []byte {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Body.Bytes()
}

// TestClientReadsEveryRoute compares the results of the client with the answers of the
// handler.
func TestClientReadsEveryRoute(t *testing.T) {
	for _, moving := range []bool{false, true} {
		cluster := testkit.NewCluster(t)
		if moving {
			cluster.Moving(t)
		}
		h := testkit.NewHandler(cluster)
		c := clientOf(t, h, client.Options{})
		ctx := t.Context()
		require.NoError(t, c.Live(ctx))
		ready, err := c.Ready(ctx)
		require.NoError(t, err)
		require.Equal(t, api.Health{Ready: true, Healthy: true}, ready)
		health, err := c.Health(ctx)
		require.NoError(t, err)
		require.Equal(t, document[api.Health](t, h, "GET", "/v1/health", ""), health)
		members, err := c.Members(ctx)
		require.NoError(t, err)
		require.Equal(t, document[api.Members](t, h, "GET", "/v1/members", ""), members)
		table, err := c.Ring(ctx)
		require.NoError(t, err)
		require.Equal(t, document[api.Ring](t, h, "GET", "/v1/ring", ""), table)
		placement, err := c.Partition(ctx, 5, client.Near{})
		require.NoError(t, err)
		require.Equal(t, document[api.Placement](t, h, "GET", "/v1/partitions/5", ""), placement)
		placement, err = c.Partition(ctx, 5, client.Near{Region: "eu"})
		require.NoError(t, err)
		require.Equal(t, document[api.Placement](t, h, "GET", "/v1/partitions/5?region=eu", ""), placement)
		lookup, err := c.Lookup(ctx, "ключ &=+%/?#", client.Near{})
		require.NoError(t, err)
		require.Equal(t, document[api.Placement](t, h, "GET", "/v1/lookup?key=%D0%BA%D0%BB%D1%8E%D1%87%20%26%3D%2B%25%2F%3F%23", ""), lookup)
		require.Equal(t, "ключ &=+%/?#", lookup.Key)
		lookup, err = c.Lookup(ctx, "user:42", client.Near{Region: "eu", Zone: "eu-1b"})
		require.NoError(t, err)
		require.Equal(t, document[api.Placement](t, h, "GET", "/v1/lookup?key=user:42&region=eu&zone=eu-1b", ""), lookup)
		batch, err := c.LookupBatch(ctx, []string{"user:42", "<&>", "ключ"}, client.Near{Zone: "us-1a"})
		require.NoError(t, err)
		require.Equal(t, document[api.Batch](t, h, "POST", "/v1/lookup?zone=us-1a", `{"keys":["user:42","<&>","ключ"]}`), batch)
		batch, err = c.LookupBatch(ctx, nil, client.Near{})
		require.NoError(t, err)
		require.Equal(t, document[api.Batch](t, h, "POST", "/v1/lookup", `{"keys":[]}`), batch)
		change := rebalance.Change{Add: []ring.Node{{ID: "n9", Zone: "eu-1c"}}, Rezone: []rebalance.Rezone{{ID: "n1", Region: "eu", Zone: "eu-1b"}}}
		for moves, plan := range map[bool]func(context.Context, rebalance.Change) (api.Plan, error){true: c.Plan, false: c.PlanSummary} {
			plan, err := plan(ctx, change)
			require.NoError(t, err)
			require.Equal(t, document[api.Plan](t, h, "POST", fmt.Sprintf("/v1/plan?moves=%v", moves),
				`{"add":[{"id":"n9","zone":"eu-1c"}],"rezone":[{"id":"n1","region":"eu","zone":"eu-1b"}]}`), plan)
		}
	}
}

// TestAnUnreadyMemberIsAnAnswer, not an error, and is not asked again.
func TestAnUnreadyMemberIsAnAnswer(t *testing.T) {
	cluster := testkit.NewCluster(t)
	cluster.Condition.Ready = false
	cluster.Condition.Problems = []api.Problem{{Code: "settling", Message: "waiting: for the ring", Unready: true}, {Code: "minority", Message: "few", Critical: true}, {Code: "zones", Message: "few"}}
	var asked atomic.Int64
	h := testkit.NewHandler(cluster)
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) }), client.Options{})
	ready, err := c.Ready(t.Context())
	require.NoError(t, err)
	problems := []api.Problem{{Code: "settling", Message: "waiting: for the ring", Unready: true}, {Code: "minority", Message: "few", Critical: true}, {Code: "zones", Message: "few"}}
	require.Equal(t, api.Health{Problems: problems}, ready)
	health, err := c.Health(t.Context())
	require.NoError(t, err)
	require.False(t, health.Ready)
	require.Equal(t, problems, health.Problems)
	require.EqualValues(t, 2, asked.Load())
}

func TestClientErrorsAreProblems(t *testing.T) {
	c := clientOf(t, testkit.NewHandler(testkit.NewCluster(t)), client.Options{})
	_, err := c.Partition(t.Context(), 99, client.Near{})
	var p *api.Refusal
	require.ErrorAs(t, err, &p)
	require.Equal(t, api.Refusal{Type: wire.UnknownPartition, Title: "Unknown partition", Status: 404, Bound: 8,
		Detail: `there is no partition "99": partitions go from 0 to 7`}, *p)
	require.ErrorContains(t, err, "client: GET /v1/partitions/99 of 127.0.0.1:")
	const private = "private-key-of-somebody"
	_, err = c.Lookup(t.Context(), strings.Repeat(private, 200), client.Near{})
	require.ErrorAs(t, err, &p)
	require.Equal(t, wire.Key, p.Type)
	require.NotContains(t, err.Error(), private)
	for i, bad := range []string{"", "\xff"} {
		_, err = c.LookupBatch(t.Context(), []string{"a", "b", bad}, client.Near{})
		require.ErrorAs(t, err, &p, i)
		require.Equal(t, wire.Key, p.Type)
		require.Equal(t, 2, *p.Index)
	}
}

// TestAnswersOfStrangers: the client returns an error for any answer that no member
// would give.
func TestAnswersOfStrangers(t *testing.T) {
	for _, test := range []struct {
		status            int
		kind, body, wants string
	}{
		{404, "text/plain; charset=utf-8", "404 page not found\n", "status 404: not found: 404 page not found"},
		{500, "text/html", "<h1>Oops</h1>", "status 500: internal server error"},
		{418, "application/problem+json", `{"status":200,"detail":"short and stout"}`, "status 418: i'm a teapot: short and stout"},
		{400, "application/problem+json", `[`, "status 400: bad request"},
		{799, "", "", "status 799: unknown status"},
		{302, "", "", "status 302: found"},
		{200, "text/html", "<h1>Welcome</h1>", `the answer is "text/html", not application/json: is it a member that answers?`},
		{200, "application/json", `{"members":7}`, "the answer cannot be decoded: json: cannot unmarshal"},
		{200, "application/json", `"` + strings.Repeat("x", 2000) + `"`, "the answer is longer than 1024 bytes: raise MaxAnswerBytes"},
	} {
		var asked atomic.Int64
		c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", test.kind)
			w.Header().Set("Location", "/cluster/elsewhere")
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}), client.Options{MaxAnswerBytes: 1024})
		_, err := c.Members(t.Context())
		require.ErrorContains(t, err, test.wants)
		require.EqualValues(t, 1, asked.Load(), "it is no use to ask again, nor elsewhere")
	}
}

func TestClientSendsItsToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	pki.Replace(t, file, []byte("# ours\nread "+testkit.ReadToken+"\n"))
	h, g := testkit.Guarded(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	for _, o := range []client.PoolOptions{{Token: testkit.Token(testkit.ReadToken)}, {TokenFile: file}} {
		_, err := clientOf(t, h, client.Options{PoolOptions: o}).Ring(t.Context())
		require.NoError(t, err)
	}
	c := clientOf(t, h, client.Options{PoolOptions: client.PoolOptions{TokenFile: file}})
	_, err := c.Ring(t.Context())
	require.NoError(t, err)
	pki.Replace(t, file, []byte(testkit.WriteToken))
	require.Eventually(t, func() bool {
		_, err := c.Ring(t.Context())
		return err != nil && strings.Contains(err.Error(), "insufficient scope")
	}, testkit.Soon, 20*time.Millisecond, "another token")
	_, err = clientOf(t, h, client.Options{}).Ring(t.Context())
	var p *api.Refusal
	require.ErrorAs(t, err, &p)
	require.Equal(t, wire.Token, p.Type)
	require.NoError(t, clientOf(t, h, client.Options{}).Live(t.Context()))
	require.Positive(t, g.Counts().Forbidden)
}

func TestClientClose(t *testing.T) {
	g := testkit.NewGate()
	c := clientOf(t, g, client.Options{})
	result := make(chan error, 1)
	go func() { _, err := c.Ring(t.Context()); result <- err }()
	<-g.Entered
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.ErrorIs(t, <-result, client.ErrClosed)
	_, err := c.Ring(t.Context())
	require.ErrorIs(t, err, client.ErrClosed)

	// A pool that is shared outlives its clients.
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	shared := testkit.NewPool(t, client.PoolOptions{})
	for range 2 {
		c := testkit.NewClient(t, client.Options{Pool: shared, URLs: []string{"http://" + srv.Addr().String()}})
		require.NoError(t, c.Live(t.Context()))
		require.NoError(t, c.Close())
	}
}

// TestAThousandLookupsUseFewConnections counts the connections that a client opens.
func TestAThousandLookupsUseFewConnections(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	var conns sync.Map
	h := testkit.NewHandler(testkit.NewCluster(t))
	srv, _ := testkit.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		h.ServeHTTP(w, r)
	}), transport.ServerOptions{TLS: ca.Issue("member")})
	c := testkit.NewClient(t, client.Options{
		URLs: []string{"https://" + srv.Addr().String()}, PoolOptions: client.PoolOptions{TLS: client.TLSOptions{RootCAFile: ca.File}},
	})
	var wg sync.WaitGroup
	for worker := range 50 {
		wg.Go(func() {
			for i := range 20 {
				if _, err := c.Lookup(t.Context(), fmt.Sprint(worker, i), client.Near{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	count := 0
	conns.Range(func(any, any) bool { count++; return true })
	t.Log("1000 lookups,", count, "connections")
	require.LessOrEqual(t, count, 64)
}
