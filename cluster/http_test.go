package cluster_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport/client"
)

// bound is a listener on a port that the system chose.
func bound(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func requireClosed(t *testing.T, l net.Listener) {
	t.Helper()
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// requireOpen closes a listener, which must not have been closed before.
func requireOpen(t *testing.T, l net.Listener) {
	t.Helper()
	require.NoError(t, l.Close())
}

func onListener(l net.Listener) edit {
	return func(o *cluster.Options) { o.HTTPAddr, o.HTTP.Listener = "", l }
}

// A service that listens on a port of the system's choice knows the port before it makes
// the cluster.
func TestHTTPOnAListener(t *testing.T) {
	noLeak(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l := bound(t)
	addr := l.Addr().String()
	c := onLoopback(t, 1, onListener(l))
	require.Empty(t, c.HTTPAddr())
	require.NoError(t, c.Start(within(t, 20*time.Second)))
	require.Equal(t, addr, c.HTTPAddr())
	require.Equal(t, addr, c.Local().HTTPAddr, "it is announced")
	status, _ := get(t, client, addr, "/readyz")
	require.Equal(t, http.StatusOK, status)
	stopped(t, c)
	require.Empty(t, c.HTTPAddr())
	requireClosed(t, l)
}

// The cluster owns the listener from New on.
func TestWhenAListenerIsClosed(t *testing.T) {
	noLeak(t)
	l := bound(t)
	require.NoError(t, options(1, onListener(l)).Validate())
	requireOpen(t, l)

	l = bound(t)
	_, err := cluster.New(options(1, onListener(l), func(o *cluster.Options) { o.Weight = -1 }))
	require.Error(t, err)
	requireClosed(t, l)

	l = bound(t)
	_, err = cluster.New(options(1, onListener(l), func(o *cluster.Options) { o.HTTP.Guard.TokenFile = "/nowhere" }))
	require.Error(t, err)
	requireClosed(t, l)

	l = bound(t)
	stopped(t, onLoopback(t, 1, onListener(l)))
	requireClosed(t, l)

	l = bound(t)
	c := onLoopback(t, 1, onListener(l))
	require.Error(t, c.Start(ended()))
	requireClosed(t, l)
}

// strange is a listener whose address is not a TCP address.
type strange struct{ net.Listener }

func (strange) Addr() net.Addr { return &net.UnixAddr{Name: "/run/orders", Net: "unix"} }

func TestOptionsOfAListener(t *testing.T) {
	l := bound(t)
	for want, change := range map[string]edit{
		`HTTP.Listener is "` + l.Addr().String() + `": must be nil where HTTPAddr is set: HTTP is served on one of them`: func(o *cluster.Options) {
			o.HTTPAddr, o.HTTP.Listener = ":0", l
		},
		`HTTP.Listener is "*net.TCPListener": must be an open listener: this one has no address`: onListener((*net.TCPListener)(nil)),
		`HTTP.Listener is "/run/orders": must be a listener with a TCP address`:                  onListener(strange{l}),
	} {
		require.EqualError(t, options(1, change).Validate(), want)
	}
	every, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	require.NoError(t, err)
	defer func() { _ = every.Close() }()
	withToken := func(o *cluster.Options) { o.HTTP.Guard.Tokens = token(oldToken) }
	require.NoError(t, options(1, onListener(l), withToken).Validate(), "it is loopback")
	require.EqualError(t, options(1, onListener(every), withToken).Validate(), `HTTP.Listener is "`+every.Addr().String()+
		`": must be a loopback address, or HTTP.Server.TLS or HTTP.Guard.TokensInClear set: tokens would be sent in clear`)
	require.NoError(t, options(1, onListener(l), func(o *cluster.Options) {
		o.HTTP.Server.TLS = client.TLSOptions{CertFile: "c", KeyFile: "k"}
	}).Validate())
}

// Routes of the service accept the same tokens as the cluster's own, and middleware sees only
// requests that the guard admits.
func TestTheGuardAndMiddleware(t *testing.T) {
	var seen int
	c, err := cluster.New(options(1, func(o *cluster.Options) {
		o.HTTP.Guard.Tokens = token(oldToken)
		o.HTTP.Handler.MaxKeys = 1
		o.HTTP.Handler.Middleware = []func(http.Handler) http.Handler{func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen++
				next.ServeHTTP(w, r)
			})
		}}
	}))
	require.NoError(t, err)
	defer stopped(t, c)
	mine := c.Guard().Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	require.Equal(t, http.StatusUnauthorized, recorded(mine, "/values").Code)
	require.Equal(t, http.StatusTeapot, carrying(mine, oldToken, "/values").Code)
	require.Equal(t, http.StatusUnauthorized, recorded(c.Handler(), "/v1/members").Code)
	require.Zero(t, seen)
	require.Equal(t, http.StatusOK, carrying(c.Handler(), oldToken, "/v1/members").Code)
	require.Equal(t, 1, seen)
}

// The client sends the first token of the guard, follows no redirect that would send the token
// elsewhere, and ends with the cluster.
func TestTheClientForOtherMembers(t *testing.T) {
	noLeak(t)
	var carried []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		carried = append(carried, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	c := onLoopback(t, 1, func(o *cluster.Options) {
		o.HTTP.Guard.Tokens = append(token(oldToken), token(newToken)...)
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/value", func(w http.ResponseWriter, r *http.Request) { carried = append(carried, r.Header.Get("Authorization")) })
	mux.Handle("/away", http.RedirectHandler(elsewhere.URL, http.StatusFound))
	member := httptest.NewServer(c.Guard().Wrap(mux))
	defer member.Close()
	members := c.Client()
	for path, want := range map[string]int{"/value": http.StatusOK, "/away": http.StatusFound} {
		status, _ := get(t, members, strings.TrimPrefix(member.URL, "http://"), path)
		require.Equal(t, want, status, path)
	}
	require.Equal(t, []string{"Bearer " + oldToken}, carried)
	stopped(t, c)
	_, err := members.Get(member.URL + "/value") //nolint:bodyclose // there is no answer
	require.ErrorIs(t, err, client.ErrClosed)
}
