package transport_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestAPanicBecomesABare500(t *testing.T) {
	c := testkit.NewCluster(t)
	c.Boom = "secret of the cluster"
	var log bytes.Buffer
	h := testkit.MakeHandler(c, transport.HandlerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, target := range []string{"/v1/health", "/v1/members", "/v1/ring", "/v1/lookup?key=k", "/v1/partitions/1"} {
		log.Reset()
		requireProblem(t, api.Refusal{
			Type: "about:blank", Title: "Internal Server Error", Status: 500,
			Detail: "the member could not answer; its log says why",
		}, call(h, "GET", target, ""), target)
		require.Contains(t, log.String(), "secret of the cluster")
		require.Contains(t, log.String(), "contain_test.go", "the stack is logged")
	}
	c.Boom = nil
	require.Equal(t, 200, call(h, "GET", "/v1/lookup?key=k", "").Code, "no lock was left held")
}

// TestAPanicDuringAPlanFreesItsSlot, so that the next plan does not wait for ever.
func TestAPanicDuringAPlanFreesItsSlot(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	for range 3 {
		r := httptest.NewRequest(http.MethodPost, "/v1/plan", bytes.NewBufferString(`{}`))
		r.Header.Set("Content-Type", "application/json")
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(&brokenWriter{httptest.NewRecorder()}, r) })
	}
}

// brokenWriter panics after the answer has begun.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (w *brokenWriter) Write([]byte) (int, error) { panic("broken") }

func TestAPanicAfterTheAnswerBeganCutsItOff(t *testing.T) {
	late := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				_, _ = io.WriteString(w, "half of ")
				_ = http.NewResponseController(w).Flush() // unwraps the wrapper
				panic("late")
			}
			next.ServeHTTP(w, r)
		})
	}
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), Middleware: []func(http.Handler) http.Handler{late}})
	srv, client := testkit.Serve(t, h, transport.ServerOptions{})
	r, err := client.Get("http://" + srv.Addr().String() + "/late")
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "half of ", string(body))
	require.NoError(t, r.Body.Close())
	require.Equal(t, "ok\n", get(t, client, srv, "/livez"), "the server lives on")
}

func TestAnAbortIsPassedOn(t *testing.T) {
	for _, abort := range []any{http.ErrAbortHandler, errors.Join(http.ErrAbortHandler)} {
		c := testkit.NewCluster(t)
		c.Boom = abort
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { call(testkit.NewHandler(c), "GET", "/v1/ring", "") })
	}
}

func TestMiddlewareComposes(t *testing.T) {
	var order []string
	mark := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	guard := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				w.Header().Set("WWW-Authenticate", "Bearer")
				transport.Refuse(w, r, &api.Refusal{Status: 401})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{
		Logger: testkit.Quiet(), Middleware: []func(http.Handler) http.Handler{mark("first"), guard, mark("second")},
	})
	w := call(h, "GET", "/v1//ring", "")
	requireProblem(t, api.Refusal{Type: "about:blank", Title: "Unauthorized", Status: 401}, w, "unclean paths pass it too")
	require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
	require.Equal(t, 200, call(h, "GET", "/v1/ring", "", "Authorization: Bearer x").Code)
	require.Equal(t, []string{"first", "first", "second"}, order)
}

func TestRefuseFillsInEmptyFields(t *testing.T) {
	w := httptest.NewRecorder()
	transport.Refuse(w, httptest.NewRequest(http.MethodGet, "/", nil), &api.Refusal{})
	require.Equal(t, 500, w.Code)
	require.JSONEq(t, `{"type":"about:blank","title":"Internal Server Error","status":500}`, w.Body.String())
}
