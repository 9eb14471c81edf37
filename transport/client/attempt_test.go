package client_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestClientTriesAgain counts the attempts after each kind of failure.
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
			h := testkit.NewHandler(testkit.NewCluster(t))
			c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= test.failures {
					test.fail(w)
					return
				}
				h.ServeHTTP(w, r)
			}), client.Options{})
			// A POST, which net/http does not send again by itself.
			_, err := c.LookupBatch(t.Context(), []string{"k"}, client.Near{})
			require.Equal(t, test.works, err == nil, "%v", err)
			require.Equal(t, test.attempts, asked.Load())
		})
	}
}

// TestClientDoesNotWaitInVain: the server asks for a wait that is longer than the
// context lasts, so the client returns the refusal and not the context's error.
func TestClientDoesNotWaitInVain(t *testing.T) {
	var asked atomic.Int64
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
	}), client.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	_, err := c.Ring(ctx)
	var p *api.Refusal
	require.ErrorAs(t, err, &p)
	require.Equal(t, 429, p.Status)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, asked.Load())
}

func TestClientHonoursItsContext(t *testing.T) {
	g := testkit.NewGate()
	c := clientOf(t, g, client.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-g.Entered; cancel(io.ErrNoProgress) }()
	_, err := c.Ring(ctx)
	require.ErrorIs(t, err, io.ErrNoProgress)

	slow := clientOf(t, g, client.Options{Timeout: 200 * time.Millisecond, Retries: 1})
	_, err = slow.Ring(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no answer within 200ms")
	require.Len(t, g.Entered, 2, "each attempt has its own")
	_, err = slow.Ring(ended())
	require.ErrorIs(t, err, context.Canceled)
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestClientGoesToTheNextMember: when a member is gone, the client asks the next one,
// and goes on asking that one.
func TestClientGoesToTheNextMember(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	var asked atomic.Int64
	count := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	}
	one, _ := testkit.Serve(t, count(testkit.NewHandler(testkit.NewCluster(t))), transport.ServerOptions{})
	c := testkit.NewClient(t, client.Options{Retries: 1, URLs: []string{"http://" + gone.Addr().String(), "http://" + one.Addr().String()}})
	for range 5 {
		require.NoError(t, c.Live(t.Context()))
	}
	require.EqualValues(t, 5, asked.Load())
	alone := testkit.NewClient(t, client.Options{Retries: option.None, URLs: []string{"http://" + gone.Addr().String()}})
	require.ErrorContains(t, alone.Live(t.Context()), "client: GET /livez of "+gone.Addr().String()+": dial tcp")
}
