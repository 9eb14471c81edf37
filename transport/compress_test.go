package transport_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

const takesGzip = "Accept-Encoding: br, gzip"

// ask sends a request whose answer may be compressed.
func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestLongAnswersAreCompressed for callers that take gzip, and are the same bytes for others.
func TestLongAnswersAreCompressed(t *testing.T) {
	c := testkit.NewCluster(t)
	h := testkit.NewHandler(c)
	for _, test := range []struct {
		method, target, body string
		pays                 bool
	}{
		{"POST", "/v1/lookup", manyKeys(1000), true},
		{"POST", "/v1/lookup", manyKeys(2), false},
		{"POST", "/v1/lookup", `{"keys":[]}`, false},
		{"GET", "/v1/openapi.json", "", true},
		{"HEAD", "/v1/openapi.json", "", true},
		{"POST", "/v1/plan", `{"remove":["n1"]}`, false},
		{"GET", "/v1/members", "", false},
		{"HEAD", "/v1/members", "", false},
		{"GET", "/v1/ring", "", false},
		{"GET", "/v1/table", "", false},
		{"GET", "/v1/events", "", false},
	} {
		plain := ask(h, test.method, test.target, test.body)
		require.Equal(t, 200, plain.Code)
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		require.Contains(t, plain.Header().Get("Vary"), "Accept-Encoding")
		w := ask(h, test.method, test.target, test.body, takesGzip)
		require.Equal(t, plain.Header().Get("Vary"), w.Header().Get("Vary"), test)
		require.Equal(t, plain.Header().Get("ETag"), w.Header().Get("ETag"), test)
		require.Equal(t, plain.Header().Get("Content-Type"), w.Header().Get("Content-Type"), test)
		require.Zero(t, transport.Held(h))
		if !test.pays {
			require.Equal(t, plain.Header(), w.Header(), test)
			require.Equal(t, plain.Body.String(), w.Body.String(), test)
			continue
		}
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"), test)
		require.Empty(t, w.Header().Get("Content-Length"), "of the answer that is not sent")
		if test.method == http.MethodHead {
			require.Empty(t, w.Body.Bytes())
			continue
		}
		length := w.Body.Len()
		require.Less(t, 5*length, plain.Body.Len(), test)
		require.Equal(t, plain.Body.String(), unzip(t, w.Body), test)
		for _, refuses := range []string{"identity", "gzip;q=0", "br", ""} {
			require.Equal(t, plain.Body.String(), ask(h, test.method, test.target, test.body, "Accept-Encoding: "+refuses).Body.String(), refuses)
		}
	}

	// A table has the same tag in all its forms, and the tag is weak.
	large := testkit.NewCluster(t)
	large.Shown.Ring = testkit.Build(t, testkit.Stairs{}, 4096, testkit.Nodes...)
	h = testkit.NewHandler(large)
	w := ask(h, "GET", "/v1/table", "", takesGzip)
	require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
	tag := w.Header().Get("ETag")
	require.True(t, strings.HasPrefix(tag, `W/"`), tag)
	require.Equal(t, ask(h, "GET", "/v1/table", "").Body.String(), unzip(t, w.Body))
	w = ask(h, "GET", "/v1/table", "", takesGzip, "If-None-Match: "+tag)
	require.Equal(t, 304, w.Code)
	require.Equal(t, "Accept, Accept-Encoding", w.Header().Get("Vary"))
	require.Empty(t, w.Header().Get("Content-Encoding"))
	require.Empty(t, ask(h, "GET", "/v1/table", "", takesGzip, "Accept: "+binaryTable).Header().Get("Content-Encoding"), "it is compact")
}

func unzip(t *testing.T, body io.Reader) string {
	t.Helper()
	z, err := gzip.NewReader(body)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(text)
}

// TestEventsAreNotCompressed, because each one must be sent at once.
func TestEventsAreNotCompressed(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // the request has ended, and with it the stream
		h.ServeHTTP(w, r)
	}()
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Empty(t, w.Header().Get("Content-Encoding"))
}

// goneAfter is a connection that breaks after some bytes.
type goneAfter struct {
	*httptest.ResponseRecorder
	room int
}

func (g *goneAfter) Write(b []byte) (int, error) {
	if g.room -= len(b); g.room < 0 {
		return 0, io.ErrClosedPipe
	}
	return g.ResponseRecorder.Write(b)
}

// TestCompressionIsBounded: it is part of the budget. Without room answers are sent as they
// are, and an answer that is cut off gives its part back and looks cut off.
func TestCompressionIsBounded(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	transport.Fill(h)
	w := ask(h, "GET", "/v1/openapi.json", "", takesGzip)
	require.Empty(t, w.Header().Get("Content-Encoding"))
	require.NotEmpty(t, w.Header().Get("Content-Length"))

	h = testkit.NewHandler(testkit.NewCluster(t))
	whole := ask(h, "POST", "/v1/lookup", manyKeys(1000), takesGzip).Body.Len()
	r := httptest.NewRequest(http.MethodPost, "/v1/lookup", strings.NewReader(manyKeys(1000)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Encoding", "gzip")
	broken := &goneAfter{httptest.NewRecorder(), whole / 2}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(broken, r) })
	z, err := gzip.NewReader(broken.Body)
	require.NoError(t, err)
	_, err = io.ReadAll(z)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Zero(t, transport.Held(h))
	require.Equal(t, whole, ask(h, "POST", "/v1/lookup", manyKeys(1000), takesGzip).Body.Len(), "a compression is used again")
}

func BenchmarkBatchOf1000(b *testing.B) {
	h := testkit.NewHandler(testkit.NewCluster(b))
	body := manyKeys(1000)
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = ask(h, "POST", "/v1/lookup", body, "Accept-Encoding: "+encoding).Body.Len()
			}
			b.ReportMetric(float64(n), "bytes/answer")
		})
	}
}
