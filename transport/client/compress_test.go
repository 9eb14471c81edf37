package client_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestCompression: a client that asks for compressed answers gets the same ones, and bounds
// them after decompression. A client that does not ask gets none.
func TestCompression(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	encodings := make(chan string, 3)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		encodings <- w.Header().Get("Content-Encoding")
	}))
	t.Cleanup(srv.Close)
	keys := make([]string, 500)
	for i := range keys {
		keys[i] = fmt.Sprint("user:", i)
	}
	ask := func(o client.Options) (any, error) {
		o.URLs, o.Retries = []string{srv.URL}, -1
		return testkit.NewClient(t, o).LookupBatch(t.Context(), keys, client.Near{})
	}
	plain, err := ask(client.Options{})
	require.NoError(t, err)
	require.Empty(t, <-encodings)
	zipped, err := ask(client.Options{Compression: true})
	require.NoError(t, err)
	require.Equal(t, plain, zipped)
	require.Equal(t, "gzip", <-encodings)
	_, err = ask(client.Options{Compression: true, MaxAnswerBytes: 50_000})
	require.ErrorContains(t, err, "the answer is longer than 50000 bytes")
}

// TestAnswersThatAreNoGzip end in an error.
func TestAnswersThatAreNoGzip(t *testing.T) {
	var whole bytes.Buffer
	z := gzip.NewWriter(&whole)
	_, err := z.Write([]byte(`{"clusterName":"orders"}`))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for want, body := range map[string][]byte{
		"decompressing the answer: gzip: invalid header": []byte(`{"clusterName":"orders"}`),
		"reading the answer: unexpected EOF":             whole.Bytes()[:whole.Len()-4],
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(body)
		}))
		c := testkit.NewClient(t, client.Options{URLs: []string{srv.URL}, Retries: -1, Compression: true})
		_, err := c.Ring(t.Context())
		require.ErrorContains(t, err, want)
		srv.Close()
	}
}
