package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestFollowingAClockThatJumpsBack: all events are shown, but for the past of another member.
func TestFollowingAClockThatJumpsBack(t *testing.T) {
	event := func(id, at, text string) string {
		return fmt.Sprintf("id: %s\ndata: {\"id\":%[1]q,\"kind\":\"member-joined\",\"at\":\"2026-01-01T%sZ\",\"text\":%q}\n\n", id, at, text)
	}
	streams := []string{
		"retry: 1000\n\n" + event("a-1", "10:00:00", "first") + event("a-2", "09:00:00", "jumped") + ":\n\n" + event("a-3", "09:30:00", "later"),
		event("b-1", "08:00:00", "past") + event("b-2", "09:31:00", "news") + event("b-3", "09:00:00", "after news"),
		event("c-1", "08:30:00", "older") + ":\n\n" + event("c-2", "08:40:00", "slow clock"),
	}
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if int(n) > len(streams) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, streams[n-1])
	}))
	defer srv.Close()
	var out, problems strings.Builder
	code := run(t.Context(), []string{"events", "-f", "-a", srv.URL}, func(string) (string, bool) { return "", false }, &out, &problems)
	require.Equal(t, 1, code, problems.String())
	require.Regexp(t, `(?s)first.*jumped.*later.*news.*after news.*slow clock`, out.String())
	require.NotRegexp(t, `past|older`, out.String())
}

// TestAMemberThatStandsStill accepts connections and answers nothing, or no further. It is left for the next address.
func TestAMemberThatStandsStill(t *testing.T) {
	end := make(chan struct{})
	still := func(begin bool) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if begin {
				w.Header().Set("Content-Type", strings.Split(r.Header.Get("Accept"), ",")[0])
				_, _ = io.WriteString(w, "\n")
				_ = http.NewResponseController(w).Flush()
			}
			select {
			case <-end:
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	t.Cleanup(func() { close(end) }) // before the servers close
	silent, begun := still(false), still(true)
	alive := newFleet(t).start(1)
	no := func(string) (string, bool) { return "", false }
	for _, test := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"events", "-a", silent + "," + alive.HTTPAddr()}, `this member, n1, was joining`, 0},
		{[]string{"events", "-a", begun}, `no answer within 200ms`, 1},
		{[]string{"events", "-f", "-a", silent}, `no answer within 200ms`, 1},
		{[]string{"events", "-f", "-a", silent + "," + alive.HTTPAddr()}, `this member, n1, was joining`, 0},
		{[]string{"watch", "-a", silent + "," + alive.HTTPAddr()}, `1 members, 64 partitions`, 0},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var out lines
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, append(test.args, "--timeout", "200ms"), no, &out, &out) }()
		require.Eventually(t, out.has(test.want), 20*time.Second, 5*time.Millisecond, "%v", test.args)
		cancel()
		require.Equal(t, test.code, <-ended, test.args)
	}

	// A stream that is silent for longer than its heartbeats allow ends.
	m := &members{settings: &settings{addrs: []string{begun}, timeout: time.Second}, pool: testkit.NewPool(t, client.PoolOptions{})}
	answer, err := m.get(t.Context(), "text/event-stream", "", 50*time.Millisecond) //nolint:bodyclose // read closes it
	require.NoError(t, err)
	require.NoError(t, read(answer, func(api.Event) error { return nil }, func() {}))
}

// TestAddressesWithZones, as members announce them and as people enter them.
func TestAddressesWithZones(t *testing.T) {
	var s settings
	for addr, want := range map[string]string{
		"fe80::1%eth0": "[fe80::1%eth0]:8080", "[fe80::1%eth0]:80": "[fe80::1%eth0]:80", "[fe80::1%2]": "[fe80::1%2]:8080",
		"::1": "[::1]:8080", "host": "host:8080", "host:1": "host:1", "http://[fe80::1%25eth0]:80": "[fe80::1%eth0]:80",
	} {
		u, err := url.Parse(s.url(addr))
		require.NoError(t, err)
		require.Equal(t, want, u.Host)
	}
}
