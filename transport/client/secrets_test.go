package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestARedirectTakesNoTokenElsewhere: an http.Client follows redirects, and removes only the headers that it knows.
func TestARedirectTakesNoTokenElsewhere(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string]string)
	note := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] = r.Header.Get("Authorization")
	}
	var member *httptest.Server
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		if r.URL.Path == "/elsewhere" {
			http.Redirect(w, r, member.URL+"/back", http.StatusFound)
		}
	}))
	defer stranger.Close()
	member = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		switch r.URL.Path {
		case "/first":
			http.Redirect(w, r, "/own", http.StatusFound)
		case "/own":
			http.Redirect(w, r, stranger.URL+"/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	defer member.Close()
	pool := testkit.NewPool(t, client.PoolOptions{Token: testkit.Token(testkit.ReadToken)})
	response, err := (&http.Client{Transport: pool}).Get(member.URL + "/first")
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(t, response.Body.Close())
	bearer := "Bearer " + testkit.ReadToken
	require.Equal(t, map[string]string{"/first": bearer, "/own": bearer, "/elsewhere": "", "/back": ""}, got)
}

// TestNoErrorShowsTheUserOfAURL, which may be a token or a password.
func TestNoErrorShowsTheUserOfAURL(t *testing.T) {
	for _, text := range []string{
		"https://hunter2@h", "https://me:hunter2@h", "https://me:hunter2@h:port", "https://me:hunter2@[::1", "ftp://me:hunter2@h", "https://me:hun@ter2@h", "https://hunter2%zz@h", "me:hunter2@h:80",
		"https://hunter2@h/%zz", "https://a/hunter2@h?x=1",
	} {
		_, err := client.New(client.Options{URLs: []string{text}})
		require.Error(t, err, text)
		if !strings.Contains(text, "a/") {
			require.NotContains(t, err.Error(), "hunter2", text)
			require.NotContains(t, err.Error(), "ter2", text)
		}
	}
}

// TestAnAnswerIsForWhatWasAsked: a cache that ignores the query answers with what another caller has asked for.
func TestAnAnswerIsForWhatWasAsked(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	var mu sync.Mutex
	cached := make(map[string]*httptest.ResponseRecorder)
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		path := r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')]
		if cached[path] == nil {
			cached[path] = httptest.NewRecorder()
			h.ServeHTTP(cached[path], r)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(cached[path].Body.Bytes())
	}), client.Options{})
	_, err := c.Lookup(t.Context(), "a", client.Near{})
	require.NoError(t, err)
	_, err = c.Lookup(t.Context(), "b", client.Near{})
	require.ErrorContains(t, err, "the answer is not for the key that was asked for")
	_, err = c.Partition(t.Context(), 1, client.Near{})
	require.NoError(t, err)
	_, err = c.Partition(t.Context(), 2, client.Near{})
	require.ErrorContains(t, err, "the answer is not for the partition that was asked for")
	clear(cached)
	_, err = c.LookupBatch(t.Context(), []string{"a", "b"}, client.Near{})
	require.NoError(t, err)
	_, err = c.LookupBatch(t.Context(), []string{"a", "c"}, client.Near{})
	require.ErrorContains(t, err, "the answer is not for the keys that were asked for")
}
