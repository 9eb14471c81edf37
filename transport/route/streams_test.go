package route_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// TestStreamsOfHTTP2KeepNoRequestOff: more streams than there may be connections, as those
// of gRPC, leave room for requests of both versions of HTTP.
func TestStreamsOfHTTP2KeepNoRequestOff(t *testing.T) {
	pool := testkit.NewPool(t, client.PoolOptions{MaxConnsPerHost: 2})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/grpc" {
			return
		}
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(o *route.Options) { o.Transport = pool }, "eu/a", "eu/b")
	f.agree(2)
	http2 := &http.Transport{Protocols: new(http.Protocols)}
	http2.Protocols.SetUnencryptedHTTP2(true)
	defer http2.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const streams = 150
	for range streams {
		body, writer := io.Pipe()
		defer func() { _ = writer.Close() }()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url(1, "/k"), body)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/grpc")
		response, err := http2.RoundTrip(r)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, 2, response.ProtoMajor)
	}
	for range 4 {
		response, _ := f.send(1, "POST", "/k", "v")
		require.Equal(t, http.StatusOK, response.StatusCode)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url(1, "/k"), nil)
		require.NoError(t, err)
		over2, err := http2.RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, over2.StatusCode)
		require.NoError(t, over2.Body.Close())
	}
	require.EqualValues(t, streams+8, f.stats(1).Answered.SameRegion)
	require.Zero(t, f.stats(1).Unreachable)
}

// TestStreamsKeepNoRequestOff: the streams of HTTP/1.1 are known by their answers alone, and
// have a bound of their own. Beyond it a request is answered with 503 and has not run.
func TestStreamsKeepNoRequestOff(t *testing.T) {
	const streams = 8
	pool := testkit.NewPool(t, client.PoolOptions{MaxConnsPerHost: 1, MaxUpgradesPerHost: streams, MaxConnWait: time.Millisecond})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/k/stream" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}, func(o *route.Options) { o.Transport, o.Patience = pool, option.None }, "eu/a", "eu/b")
	f.agree(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range streams + 1 {
		response, _ := f.send(1, "POST", "/k", "v")
		require.Equal(t, http.StatusOK, response.StatusCode, "after %d streams", i)
		method := []string{"GET", "POST"}[i%2]
		r, err := http.NewRequestWithContext(ctx, method, f.url(1, "/k/stream"), strings.NewReader("v"[:i%2]))
		require.NoError(t, err)
		stream, err := f.client.Do(r)
		require.NoError(t, err)
		defer func() { _ = stream.Body.Close() }()
		require.Equal(t, http.StatusOK, stream.StatusCode)
	}
	runs := sum(f.stats(2).Answered)
	for i, method := range []string{"GET", "POST"} {
		response, body := f.send(1, method, "/k", "v"[:i])
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.Contains(t, body, "the request has not run")
		require.EqualValues(t, i+1, f.stats(1).Crowded)
	}
	require.Equal(t, runs, sum(f.stats(2).Answered))
}
