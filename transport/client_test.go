package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
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
	cluster.health.Problems = []transport.Problem{{Code: "settling", Message: "waiting: for the ring", Unready: true}, {Code: "zones", Message: "few"}}
	var asked atomic.Int64
	h := newHandler(cluster)
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) }), transport.ClientOptions{})
	ready, err := c.Ready(t.Context())
	require.NoError(t, err)
	problems := []transport.HealthProblem{{Code: "settling", Message: "waiting: for the ring", Unready: true}, {Code: "zones", Message: "few"}}
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
func TestClientTriesAgain(t *testing.T) {
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	refuse := func(status int, after string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
		}
	}
	for _, test := range []struct {
		name     string
		fail     func(w http.ResponseWriter)
		failures int64
		attempts int64
		works    bool
	}{
		{"a connection that is closed", hangUp, 3, 4, true},
		{"one too often", hangUp, 4, 4, false},
		{"an answer that breaks off", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "100"); panic(http.ErrAbortHandler) }, 1, 2, true},
		{"too many requests", refuse(429, ""), 2, 3, true},
		{"unavailable", refuse(503, "0"), 2, 3, true},
		{"unavailable until a moment that has passed", refuse(503, "Mon, 02 Jan 2006 15:04:05 GMT"), 1, 2, true},
		{"unavailable for a second", refuse(503, "1"), 1, 2, true},
		{"unavailable for longer than we wait", refuse(503, "31"), 1, 1, false},
		{"a server error", refuse(500, ""), 1, 1, false},
		{"unauthorized", refuse(401, ""), 1, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			h := newHandler(newFake(t))
			c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= test.failures {
					test.fail(w)
					return
				}
				h.ServeHTTP(w, r)
			}), transport.ClientOptions{})
			// POST: net/http would not try it again by itself.
			_, err := c.LookupBatch(t.Context(), []string{"k"}, transport.Near{})
			require.Equal(t, test.works, err == nil, "%v", err)
			require.Equal(t, test.attempts, asked.Load())
		})
	}
}

// TestClientDoesNotWaitInVain: what the server asks for would outlast the
// context, so that the refusal is returned rather than the context's end.
func TestClientDoesNotWaitInVain(t *testing.T) {
	var asked atomic.Int64
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
	}), transport.ClientOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	_, err := c.Ring(ctx)
	var p *transport.ProblemDetails
	require.ErrorAs(t, err, &p)
	require.Equal(t, 429, p.Status)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, asked.Load())
}

func TestClientHonoursItsContext(t *testing.T) {
	g := newGate()
	c := clientOf(t, g, transport.ClientOptions{})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-g.entered; cancel(io.ErrNoProgress) }()
	_, err := c.Ring(ctx)
	require.ErrorIs(t, err, io.ErrNoProgress)

	slow := clientOf(t, g, transport.ClientOptions{Timeout: 20 * time.Millisecond, Retries: 1})
	_, err = slow.Ring(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no answer within 20ms")
	require.Len(t, g.entered, 2, "each attempt has its own")
	_, err = slow.Ring(ended())
	require.ErrorIs(t, err, context.Canceled)
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestClientGoesToTheNextMember when one is gone, and stays there.
func TestClientGoesToTheNextMember(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	var asked atomic.Int64
	count := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	}
	one, _ := serve(t, count(newHandler(newFake(t))), transport.ServerOptions{})
	c := newClient(t, transport.ClientOptions{Retries: 1, URLs: []string{"http://" + gone.Addr().String(), "http://" + one.Addr().String()}})
	for range 5 {
		require.NoError(t, c.Live(t.Context()))
	}
	require.EqualValues(t, 5, asked.Load())
	alone := newClient(t, transport.ClientOptions{Retries: -1, URLs: []string{"http://" + gone.Addr().String()}})
	require.ErrorContains(t, alone.Live(t.Context()), "transport: GET /livez of "+gone.Addr().String()+": dial tcp")
}

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
func TestLargeBatchesAreSplit(t *testing.T) {
	var asked atomic.Int64
	limits := transport.HandlerOptions{Logger: quiet(), MaxKeys: 70, MaxBodyBytes: 1024}
	cluster := newFake(t)
	h := makeHandler(cluster, limits)
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d<", i)
	}
	body, err := json.Marshal(transport.BatchRequest{Keys: keys})
	require.NoError(t, err)
	want := document[transport.BatchAnswer](t, newHandler(cluster), "POST", "/v1/lookup", string(body))
	for _, o := range []transport.ClientOptions{{}, {MaxKeys: 30}, {MaxKeys: 70, MaxBodyBytes: 1024}} {
		asked.Store(0)
		c := clientOf(t, counted, o)
		got, err := c.LookupBatch(t.Context(), keys, transport.Near{})
		require.NoError(t, err)
		require.Equal(t, want, got)
		first := asked.Swap(0)
		_, err = c.LookupBatch(t.Context(), keys, transport.Near{})
		require.NoError(t, err)
		again := asked.Load()
		t.Log(o.MaxKeys, o.MaxBodyBytes, "first", first, "requests, then", again)
		require.GreaterOrEqual(t, again, int64(1000/70))
		if o.MaxKeys == 0 {
			require.Less(t, again, first, "it has learned")
		} else {
			require.Equal(t, again, first, "it knew")
		}
	}
	c := clientOf(t, counted, transport.ClientOptions{MaxKeys: 30})
	_, err = c.LookupBatch(t.Context(), append(keys, ""), transport.Near{})
	var p *transport.ProblemDetails
	require.ErrorAs(t, err, &p)
	require.Equal(t, 1000, *p.Index, "counted from the start of all keys")
	long := strings.Repeat("k", 2000)
	_, err = c.LookupBatch(t.Context(), []string{long, long}, transport.Near{})
	require.ErrorAs(t, err, &p)
	require.Equal(t, transport.ProblemBodyTooLarge, p.Type, "one key alone is too much")
}

// TestABatchIsOfOneRing though the ring changes between its parts.
func TestABatchIsOfOneRing(t *testing.T) {
	var asked atomic.Int64
	settled, moving := newHandler(newFake(t)), newHandler(newFake(t).moving(t))
	for _, test := range []struct {
		from  int64 // the request that meets the other ring first
		works bool
	}{{2, true}, {1 << 40, true}, {-1, false}} {
		asked.Store(0)
		c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := asked.Add(1)
			if n >= test.from && test.from > 0 || test.from < 0 && n%2 == 0 {
				moving.ServeHTTP(w, r)
				return
			}
			settled.ServeHTTP(w, r)
		}), transport.ClientOptions{MaxKeys: 2})
		answer, err := c.LookupBatch(t.Context(), []string{"a", "b", "c", "d"}, transport.Near{})
		if !test.works {
			require.ErrorIs(t, err, transport.ErrRingMoved)
			continue
		}
		require.NoError(t, err)
		h := settled
		if test.from == 2 {
			h = moving
		}
		require.Equal(t, document[transport.BatchAnswer](t, h, "POST", "/v1/lookup", `{"keys":["a","b","c","d"]}`), answer)
	}
}

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

func TestClientOptions(t *testing.T) {
	good := transport.ClientOptions{URLs: []string{"https://orders-1:8080/cluster"}, Token: transport.NewSecret(readToken)}
	require.NoError(t, good.Validate())
	for _, url := range []string{"http://127.3.2.1:1", "http://[::1]:1", "http://localhost"} {
		good.URLs = []string{url}
		require.NoError(t, good.Validate(), url)
	}
	good.URLs, good.TokensInClear = []string{"http://10.0.0.1:1"}, true
	require.NoError(t, good.Validate())

	bad := transport.ClientOptions{
		URLs:  []string{"orders-1:8080", "ftp://orders-1", "https://", "http://10.0.0.1:80", "https://me:hunter2@h", "https://h?x=1"},
		Token: transport.NewSecret("hunter2 hunter2"), TokenFile: "tokens", Pool: newPool(t, transport.PoolOptions{}),
		PoolOptions: transport.PoolOptions{MaxIdleConns: -1}, Timeout: -1, Retries: -2, MinBackoff: -1, MaxBackoff: -1, MaxRetryAfter: -1,
		MaxKeys: -1, MaxBodyBytes: 1, MaxAnswerBytes: 1,
	}
	const form = `must be http://host:port or https://host:port, with a path or without`
	const want = `transport: ClientOptions.URLs[0] is "orders-1:8080": ` + form + `
transport: ClientOptions.URLs[1] is "ftp://orders-1": ` + form + `
transport: ClientOptions.URLs[2] is "https://": ` + form + `
transport: ClientOptions.URLs[3] is "http://10.0.0.1:80": must be an https URL: the token would be sent in clear; set TokensInClear to allow that
transport: ClientOptions.URLs[4] is "https://me:xxxxx@h": must be without a user: send a token instead
transport: ClientOptions.URLs[5] is "https://h?x=1": ` + form + `
transport: ClientOptions.Token is "a text of 15 bytes": must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone
transport: ClientOptions.TokenFile is "tokens": must be empty when Token is set
transport: ClientOptions.PoolOptions is "set": must be zero when Pool is set
transport: ClientOptions.Timeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.Retries is -2: must be between -1 and 100, or zero for the default
transport: ClientOptions.MinBackoff is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.MaxBackoff is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.MaxRetryAfter is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.MaxKeys is -1: must be between 1 and 100000, or zero for the default
transport: ClientOptions.MaxBodyBytes is 1: must be between 1024 and 67108864, or zero for the default
transport: ClientOptions.MaxAnswerBytes is 1: must be between 1024 and 1073741824, or zero for the default
transport: PoolOptions.MaxIdleConns is -1: must be between 1 and 1048576, or zero for the default`
	_, err := transport.NewClient(bad)
	require.EqualError(t, err, want)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = transport.NewClient(transport.ClientOptions{})
	require.EqualError(t, err, "transport: ClientOptions.len(URLs) is 0: must be between 1 and 1000")
	_, err = transport.NewClient(transport.ClientOptions{URLs: []string{"https://h"}, TokenFile: "/nowhere"})
	require.EqualError(t, err, "transport: token of the client: open /nowhere: no such file or directory")
	file := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"": "holds no token", "read short": "its token must be", "read": "its token must be"} {
		replace(t, file, []byte(content))
		_, err = transport.NewClient(transport.ClientOptions{URLs: []string{"https://h"}, TokenFile: file})
		require.ErrorContains(t, err, want)
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
