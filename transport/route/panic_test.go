package route_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

// panics is a body, a round tripper or a writer of a middleware that panics.
type panics struct{ http.ResponseWriter }

func (panics) Read([]byte) (int, error)                        { panic("as a test asks for") }
func (panics) Close() error                                    { return nil }
func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("as a test asks for") }

// TestABodyThatPanics: a middleware around the router may panic while the body is read. At the owner the server
// ends the connection. Forwarded, http.Transport reads the body in a goroutine of its own, where a panic
// would end the process.
func TestABodyThatPanics(t *testing.T) {
	transports(t, func(t *testing.T, edit func(*route.Options)) {
		f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}, edit, "eu/a", "eu/b")
		f.agree(2)
		for member := 1; member <= 2; member++ {
			router := f.stations[member-1].router
			f.stations[member-1].put(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Panic") != "" && r.Header.Get("Clusterkit-Forwarded") == "" {
					r.Body = panics{}
				}
				router.ServeHTTP(w, r)
			}))
		}
		for member := 2; member >= 1; member-- {
			for _, major := range []int{1, 2} {
				client := clientOf(t, major)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url(member, "/k"), bytes.NewReader([]byte("body")))
				require.NoError(t, err)
				r.Header.Set("Panic", "yes")
				_, err = client.Do(r) //nolint:bodyclose // there is none
				require.Error(t, err, "the connection, or the stream, ends")
			}
		}
		response, _ := f.send(1, "POST", "/k", "body")
		require.Equal(t, http.StatusOK, response.StatusCode)
	})
}

// hintless is a writer of a middleware that knows no informational answers.
type hintless struct{ http.ResponseWriter }

func (w hintless) WriteHeader(status int) {
	if status < 200 {
		panic("as a test asks for")
	}
	w.ResponseWriter.WriteHeader(status)
}

// TestAnInformationalAnswerThatPanics is left out. It may come in a goroutine of http.Transport.
func TestAnInformationalAnswerThatPanics(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "answer")
	}, nil, "eu/a", "eu/b")
	f.agree(2)
	f.stations[0].put(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.stations[0].router.ServeHTTP(hintless{w}, r)
	}))
	for _, body := range []string{"", "body"} {
		response, text := f.send(1, "POST", "/k", body)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "answer", text)
	}
}

// TestATransportThatPanics fails the attempt, in whatever goroutine it is.
func TestATransportThatPanics(t *testing.T) {
	f := newFleet(t, nil, func(o *route.Options) {
		o.HedgeAfter = time.Minute
		o.Wrap = func(http.RoundTripper) http.RoundTripper { return panics{} }
	}, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	for _, method := range []string{"GET", "PUT", "POST"} {
		for _, body := range []string{"", "body"} {
			response, text := f.send(1, method, "/k", body)
			requireFailure(t, response, text, http.StatusBadGateway, api.RefusalBroken)
		}
	}
}

// clientOf returns a client that speaks one version of HTTP in clear.
func clientOf(t *testing.T, major int) *http.Client {
	own := &http.Transport{Protocols: new(http.Protocols)}
	own.Protocols.SetHTTP1(major == 1)
	own.Protocols.SetUnencryptedHTTP2(major == 2)
	t.Cleanup(own.CloseIdleConnections)
	return &http.Client{Transport: own}
}
