package route_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/route"
)

// TestAFaultyRequest: what is wrong with a request of a caller is no fault of a member. It is sent at
// most once, its body is closed once, and the member counts as reachable.
func TestAFaultyRequest(t *testing.T) {
	fails := errors.New("disk")
	again := func() (io.ReadCloser, error) { return nil, fails }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name    string
		edit    func(*http.Request)
		content io.Reader // nil: no body
		runs    int64     // at most
		is      error     // nil: any
	}{
		{name: "no URL", edit: func(r *http.Request) { r.URL = nil }},
		{name: "no URL, a body", edit: func(r *http.Request) { r.URL = nil }, content: strings.NewReader("x")},
		{name: "a length without a body", edit: func(r *http.Request) { r.ContentLength = 5 }},
		{name: "a control character in the query", edit: func(r *http.Request) { r.URL.RawQuery = "a\r\nb" }},
		{name: "a context that has ended", edit: func(r *http.Request) { *r = *r.WithContext(ended) }, is: context.Canceled},
		{name: "a short body", edit: func(r *http.Request) { r.ContentLength = 5 }, content: strings.NewReader("abc"), runs: 1},
		{name: "a short body with GetBody", edit: func(r *http.Request) { r.ContentLength, r.GetBody = 5, again }, content: strings.NewReader("abc"), runs: 1},
		{name: "a body that fails", edit: func(r *http.Request) { r.ContentLength = 5 }, content: iotest.ErrReader(fails), runs: 1, is: fails},
		{name: "a body that fails with GetBody", edit: func(r *http.Request) { r.ContentLength, r.GetBody = 5, again }, content: iotest.ErrReader(fails), runs: 1, is: fails},
	} {
		t.Run(c.name, func(t *testing.T) {
			var runs atomic.Int64
			f := newFleet(t, func(_ http.ResponseWriter, r *http.Request) {
				runs.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
			}, nil, "eu/a", "eu/b", "eu/c")
			o, rt := f.sender("a", func(o *route.Options) { o.Key = func(*http.Request) (string, bool) { return "k", true } })
			f.tell(o, 2, 3)
			r := (&http.Request{Method: http.MethodPut, URL: &url.URL{Scheme: "http", Host: "kv", Path: "/k"}, Header: http.Header{}}).WithContext(t.Context())
			b := &watched{Reader: c.content}
			if c.content != nil {
				r.Body = b
			}
			c.edit(r)
			_, err := rt.RoundTrip(r) //nolint:bodyclose // there is none
			require.Error(t, err)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.NotErrorIs(t, err, route.ErrNoOwner)
			require.LessOrEqual(t, runs.Load(), c.runs)
			if c.content != nil {
				require.EqualValues(t, 1, b.closed.Load())
			}
			counted := rt.Stats()
			require.Zero(t, sum(counted.Unreachable)+sum(counted.Broken)+counted.Retries)
		})
	}
}

// TestGetBodyIsForLaterAttempts: the first one sends the body that the caller has given.
func TestGetBodyIsForLaterAttempts(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, nil, "eu/a", "eu/b")
	o, rt := f.sender("a", nil)
	f.tell(o, 2)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://kv/k", strings.NewReader("given"))
	require.NoError(t, err)
	r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("it cannot be read twice") }
	response, err := rt.RoundTrip(r)
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "given", string(answer))
}
