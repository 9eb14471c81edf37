package transport_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport"
)

// dialer makes a client for one test, one that does not wait long.

func newClient(t *testing.T, o transport.ClientOptions) *transport.Client {
	t.Helper()
	o.Logger = quiet()
	if o.MinBackoff == 0 {
		o.MinBackoff, o.MaxBackoff = time.Millisecond, 2*time.Millisecond
	}
	c, err := transport.NewClient(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// clientOf is a client of a handler that is served below a prefix.

func clientOf(t *testing.T, h http.Handler, o transport.ClientOptions) *transport.Client {
	t.Helper()
	srv, _ := serve(t, http.StripPrefix("/cluster", h), transport.ServerOptions{})
	o.URLs = []string{"http://" + srv.Addr().String() + "/cluster/"}
	return newClient(t, o)
}

// document is what a handler says, read into what the client returns.

func document[T any](t *testing.T, h http.Handler, method, target, body string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(call(h, method, target, body).Body.Bytes(), &v))
	return v
}

// TestClientReadsEveryRoute compares what it returns with what the handler says.

func TestClientReadsEveryRoute(t *testing.T) {
	for _, moving := range []bool{false, true} {
		cluster := newFake(t)
		if moving {
			cluster.moving(t)
		}
		h := newHandler(cluster)
		c := clientOf(t, h, transport.ClientOptions{})
		ctx := t.Context()
		require.NoError(t, c.Live(ctx))
		ready, err := c.Ready(ctx)
		require.NoError(t, err)
		require.Equal(t, transport.ReadyAnswer{Ready: true}, ready)
		health, err := c.Health(ctx)
		require.NoError(t, err)
		require.Equal(t, document[transport.HealthAnswer](t, h, "GET", "/v1/health", ""), health)
		members, err := c.Members(ctx)
		require.NoError(t, err)
		require.Equal(t, document[transport.MembersAnswer](t, h, "GET", "/v1/members", ""), members)
		ring, err := c.Ring(ctx)
		require.NoError(t, err)
		require.Equal(t, document[transport.RingAnswer](t, h, "GET", "/v1/ring", ""), ring)
		placement, err := c.Partition(ctx, 5, transport.Near{})
		require.NoError(t, err)
		require.Equal(t, document[transport.PlacementAnswer](t, h, "GET", "/v1/partitions/5", ""), placement)
		placement, err = c.Partition(ctx, 5, transport.Near{Region: "eu"})
		require.NoError(t, err)
		require.Equal(t, document[transport.PlacementAnswer](t, h, "GET", "/v1/partitions/5?region=eu", ""), placement)
		lookup, err := c.Lookup(ctx, "ключ &=+%/?#", transport.Near{})
		require.NoError(t, err)
		require.Equal(t, document[transport.LookupAnswer](t, h, "GET", "/v1/lookup?key=%D0%BA%D0%BB%D1%8E%D1%87%20%26%3D%2B%25%2F%3F%23", ""), lookup)
		require.Equal(t, "ключ &=+%/?#", lookup.Key)
		lookup, err = c.Lookup(ctx, "user:42", transport.Near{Region: "eu", Zone: "eu-1b"})
		require.NoError(t, err)
		require.Equal(t, document[transport.LookupAnswer](t, h, "GET", "/v1/lookup?key=user:42&region=eu&zone=eu-1b", ""), lookup)
		batch, err := c.LookupBatch(ctx, []string{"user:42", "<&>", "ключ"}, transport.Near{Zone: "us-1a"})
		require.NoError(t, err)
		require.Equal(t, document[transport.BatchAnswer](t, h, "POST", "/v1/lookup?zone=us-1a", `{"keys":["user:42","<&>","ключ"]}`), batch)
		batch, err = c.LookupBatch(ctx, nil, transport.Near{})
		require.NoError(t, err)
		require.Equal(t, document[transport.BatchAnswer](t, h, "POST", "/v1/lookup", `{"keys":[]}`), batch)
		change := transport.PlanRequest{Add: []transport.PlanNode{{ID: "n9", Zone: "eu-1c"}}, Rezone: []rebalance.Rezone{{ID: "n1", Region: "eu", Zone: "eu-1b"}}}
		for _, moves := range []bool{true, false} {
			plan, err := c.Plan(ctx, change, moves)
			require.NoError(t, err)
			require.Equal(t, document[transport.PlanAnswer](t, h, "POST", fmt.Sprintf("/v1/plan?moves=%v", moves),
				`{"add":[{"id":"n9","zone":"eu-1c"}],"rezone":[{"id":"n1","region":"eu","zone":"eu-1b"}]}`), plan)
		}
	}
}

// TestAnUnreadyMemberIsAnAnswer, not an error, and is not asked again.

func TestAnUnreadyMemberIsAnAnswer(t *testing.T) {
	cluster := newFake(t)
	cluster.health.Ready = false
	cluster.health.Problems = []transport.Problem{{Code: "settling", Message: "waiting: for the ring", Unready: true}, {Code: "minority", Message: "few", Critical: true}, {Code: "zones", Message: "few"}}
	var asked atomic.Int64
	h := newHandler(cluster)
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) }), transport.ClientOptions{})
	ready, err := c.Ready(t.Context())
	require.NoError(t, err)
	problems := []transport.HealthProblem{{Code: "settling", Message: "waiting: for the ring", Unready: true}, {Code: "minority", Message: "few", Critical: true}, {Code: "zones", Message: "few"}}
	require.Equal(t, transport.ReadyAnswer{Problems: problems}, ready)
	health, err := c.Health(t.Context())
	require.NoError(t, err)
	require.False(t, health.Ready)
	require.Equal(t, problems, health.Problems)
	require.EqualValues(t, 2, asked.Load())
}

func TestClientErrorsAreProblems(t *testing.T) {
	c := clientOf(t, newHandler(newFake(t)), transport.ClientOptions{})
	_, err := c.Partition(t.Context(), 99, transport.Near{})
	var p *transport.ProblemDetails
	require.ErrorAs(t, err, &p)
	require.Equal(t, transport.ProblemDetails{Type: transport.ProblemUnknownPartition, Title: "Unknown partition", Status: 404, Bound: 8,
		Detail: `there is no partition "99": partitions go from 0 to 7`}, *p)
	require.ErrorContains(t, err, "transport: GET /v1/partitions/99 of 127.0.0.1:")
	const private = "private-key-of-somebody"
	_, err = c.Lookup(t.Context(), strings.Repeat(private, 200), transport.Near{})
	require.ErrorAs(t, err, &p)
	require.Equal(t, transport.ProblemKey, p.Type)
	require.NotContains(t, err.Error(), private)
	for i, bad := range []string{"", "\xff"} {
		_, err = c.LookupBatch(t.Context(), []string{"a", "b", bad}, transport.Near{})
		require.ErrorAs(t, err, &p, i)
		require.Equal(t, transport.ProblemKey, p.Type)
		require.Equal(t, 2, *p.Index)
	}
}

// TestAnswersOfStrangers: whatever answers, the client takes it calmly.

func TestAnswersOfStrangers(t *testing.T) {
	for _, test := range []struct {
		status            int
		kind, body, wants string
	}{
		{404, "text/plain; charset=utf-8", "404 page not found\n", "status 404: not found: 404 page not found"},
		{502, "text/html", "<h1>Bad gateway</h1>", "status 502: bad gateway"},
		{418, "application/problem+json", `{"status":200,"detail":"short and stout"}`, "status 418: i'm a teapot: short and stout"},
		{400, "application/problem+json", `[`, "status 400: bad request"},
		{799, "", "", "status 799: unknown status"},
		{302, "", "", "status 302: found"},
		{200, "text/html", "<h1>Welcome</h1>", `the answer is "text/html", not application/json: is it a member that answers?`},
		{200, "application/json", `{"members":7}`, "the answer is not what it should be: json: cannot unmarshal"},
		{200, "application/json", `"` + strings.Repeat("x", 2000) + `"`, "the answer is longer than 1024 bytes: raise MaxAnswerBytes"},
	} {
		var asked atomic.Int64
		c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", test.kind)
			w.Header().Set("Location", "/cluster/elsewhere")
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}), transport.ClientOptions{MaxAnswerBytes: 1024})
		_, err := c.Members(t.Context())
		require.ErrorContains(t, err, test.wants)
		require.EqualValues(t, 1, asked.Load(), "it is no use to ask again, nor elsewhere")
	}
}

// TestClientTriesAgain counts the attempts that each failure is worth.

// TestClientDoesNotWaitInVain: what the server asks for would outlast the

// context, so that the refusal is returned rather than the context's end.

// TestClientGoesToTheNextMember when one is gone, and stays there.

func TestClientSendsItsToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	replace(t, file, []byte("# ours\nread "+readToken+"\n"))
	h, g := guarded(t, transport.GuardOptions{Tokens: tokens()})
	for _, o := range []transport.ClientOptions{{Token: transport.NewSecret(readToken)}, {TokenFile: file}} {
		_, err := clientOf(t, h, o).Ring(t.Context())
		require.NoError(t, err)
	}
	c := clientOf(t, h, transport.ClientOptions{TokenFile: file})
	_, err := c.Ring(t.Context())
	require.NoError(t, err)
	replace(t, file, []byte(writeToken))
	require.Eventually(t, func() bool {
		_, err := c.Ring(t.Context())
		return err != nil && strings.Contains(err.Error(), "insufficient scope")
	}, soon, 20*time.Millisecond, "another token")
	_, err = clientOf(t, h, transport.ClientOptions{}).Ring(t.Context())
	var p *transport.ProblemDetails
	require.ErrorAs(t, err, &p)
	require.Equal(t, transport.ProblemToken, p.Type)
	require.NoError(t, clientOf(t, h, transport.ClientOptions{}).Live(t.Context()))
	require.Positive(t, g.Counts().Forbidden)
}

// TestLargeBatchesAreSplit by what the client knows, and by what it learns.

// TestABatchIsOfOneRing though the ring changes between its parts.

func TestClientClose(t *testing.T) {
	g := newGate()
	c := clientOf(t, g, transport.ClientOptions{})
	result := make(chan error, 1)
	go func() { _, err := c.Ring(t.Context()); result <- err }()
	<-g.entered
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.ErrorIs(t, <-result, transport.ErrClientClosed)
	_, err := c.Ring(t.Context())
	require.ErrorIs(t, err, transport.ErrClientClosed)

	// A pool that is shared outlives its clients.
	srv, _ := serve(t, newHandler(newFake(t)), transport.ServerOptions{})
	shared := newPool(t, transport.PoolOptions{})
	for range 2 {
		c := newClient(t, transport.ClientOptions{Pool: shared, URLs: []string{"http://" + srv.Addr().String()}})
		require.NoError(t, c.Live(t.Context()))
		require.NoError(t, c.Close())
	}
}

// TestAThousandLookupsUseFewConnections counts what the whole client opens.

func TestAThousandLookupsUseFewConnections(t *testing.T) {
	ca := newAuthority(t, "authority")
	var conns sync.Map
	h := newHandler(newFake(t))
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		h.ServeHTTP(w, r)
	}), transport.ServerOptions{TLS: ca.issue("member")})
	c := newClient(t, transport.ClientOptions{
		URLs: []string{"https://" + srv.Addr().String()}, PoolOptions: transport.PoolOptions{TLS: transport.TLSOptions{RootCAFile: ca.file}},
	})
	var wg sync.WaitGroup
	for worker := range 50 {
		wg.Go(func() {
			for i := range 20 {
				if _, err := c.Lookup(t.Context(), fmt.Sprint(worker, i), transport.Near{}); err != nil {
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
