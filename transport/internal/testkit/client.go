package testkit

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/client"
)

// NewPool makes a pool for one test.
func NewPool(tb testing.TB, o client.PoolOptions) *client.Pool {
	tb.Helper()
	o.Logger = Quiet()
	p, err := client.NewPool(o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, p.Close()) })
	return p
}

// NewClient makes a client for one test. It does not wait long before further attempts.
func NewClient(tb testing.TB, o client.Options) *client.Client {
	tb.Helper()
	o.Logger = Quiet()
	if o.MinBackoff == 0 {
		o.MinBackoff, o.MaxBackoff = time.Millisecond, 2*time.Millisecond
	}
	c, err := client.New(o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, c.Close()) })
	return c
}

// Heard is what Ask reports of an answer, besides its body.
type Heard struct {
	Status int
	TLS    *tls.ConnectionState
}

// Ask sends a GET through a pool.
func Ask(t *testing.T, p http.RoundTripper, url string) (Heard, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer, err := p.RoundTrip(r)
	if err != nil {
		return Heard{}, "", err
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return Heard{answer.StatusCode, answer.TLS}, string(body), nil
}
