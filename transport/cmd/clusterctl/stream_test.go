package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
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
	require.NotRegexp(t, regexp.MustCompile(`past|older`), out.String())
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
