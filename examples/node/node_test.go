package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport/client"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// begin runs a member until end is called or the test ends. It returns its log and its addresses.
func begin(t *testing.T, args ...string) (out *lines, http, gossip string, end func()) {
	t.Helper()
	c, err := parseWith(args, nil)
	require.NoError(t, err)
	out = new(lines)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, c, out) }()
	end = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(end)
	serving := regexp.MustCompile(`msg=serving http=(\S+) gossip=(\S+)`)
	require.Eventually(t, func() bool { return serving.MatchString(out.String()) }, time.Minute, 10*time.Millisecond, "%s", out)
	addresses := serving.FindStringSubmatch(out.String())
	return out, addresses[1], addresses[2], end
}

// The service, its router and the metrics are behind the guard and the TLS of the member.
func TestServiceIsAnsweredByTheOwnerOverTLSWithTokens(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs two members over sockets")
	}
	authority := pki.New(t, "authority")
	tlsCert, tlsKey, tokens := authority.Path("tls.pem"), authority.Path("tls.key"), authority.Path("tokens")
	authority.Issue("members", tlsCert, tlsKey)
	secret := strings.Repeat("s", 32)
	pki.Replace(t, tokens, []byte("read,write "+secret+"\n"))
	member := func(id string, more ...string) []string {
		return append([]string{
			"-id", id, "-zone", id, "-gossip", "127.0.0.1:0", "-http", "127.0.0.1:0", "-replicas", "1", "-profile", "local", "-restart-grace", "0",
			"-tls-cert", tlsCert, "-tls-key", tlsKey, "-tls-client-ca", authority.File, "-tls-ca", authority.File, "-token-file", tokens,
		}, more...)
	}
	_, first, seed, _ := begin(t, member("n1")...)
	begin(t, member("n2", "-join", seed)...)

	pool, err := client.NewPool(client.PoolOptions{
		TLS: client.TLSOptions{CertFile: tlsCert, KeyFile: tlsKey, RootCAFile: authority.File}, TokenFile: tokens,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, pool.Close()) }()
	ask := func(path string) (int, string) {
		request, err := http.NewRequest(http.MethodPost, "https://"+first+path, http.NoBody)
		require.NoError(t, err)
		if path == "/metrics" {
			request.Method = http.MethodGet
		}
		response, err := pool.RoundTrip(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	answers := func() map[string]int {
		counts := make(map[string]int)
		for i := range 40 {
			status, body := ask(fmt.Sprint("/echo/user:", i))
			require.Equal(t, http.StatusOK, status, body)
			var answer echo
			require.NoError(t, json.Unmarshal([]byte(body), &answer))
			require.Equal(t, answer.Node, answer.Zone)
			require.Equal(t, answer.Node != "n1", answer.From == "n1", "%+v", answer)
			counts[answer.Node]++
		}
		return counts
	}
	require.Eventually(t, func() bool { return len(answers()) == 2 }, time.Minute, 50*time.Millisecond, "n1 forwards to n2")

	status, body := ask("/echo/")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "give a key, as in /echo/user:42")
	_, body = ask("/metrics")
	for _, metric := range []string{"go_goroutines ", "process_", `clusterkit_router_attempts_total{cluster="demo",relation=`} {
		require.Contains(t, body, "\n"+metric)
	}
}

// With -on-term drain a member leaves for good. Without it the member is away, and keeps its place.
func TestSIGTERMDrainsOrRestarts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs members over sockets")
	}
	member := func(id string, more ...string) []string {
		return append([]string{
			"-id", id, "-zone", id, "-gossip", "127.0.0.1:0", "-http", "127.0.0.1:0", "-replicas", "1", "-profile", "local",
			"-restart-grace", "1m", "-stop-delay", "1ms",
		}, more...)
	}
	stays, _, seed, _ := begin(t, member("n1")...)
	_, _, _, drain := begin(t, member("n2", "-join", seed, "-on-term", "drain")...)
	_, _, _, restart := begin(t, member("n3", "-join", seed, "-on-term", "restart")...)
	drain()
	restart()
	left := regexp.MustCompile(`msg=member-left member=n2 `)
	away := regexp.MustCompile(`member=n3 .* state=away `)
	require.Eventually(t, func() bool {
		return left.MatchString(stays.String()) && away.MatchString(stays.String())
	}, time.Minute, 10*time.Millisecond, "%s", stays)
	require.NotContains(t, stays.String(), "msg=member-left member=n3 ")
}
