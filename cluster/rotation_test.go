package cluster_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/client"
)

// rotated is a cluster on sockets with every secret there is, and a load on it
// that must never fail.
type rotated struct {
	t       *testing.T
	dir     string
	all     []*cluster.Cluster
	workers []*worker
}

// worker sends requests to one member, one after the other, with its own certificate
// and token. It repeats no request: each failure counts.
type worker struct {
	client   *client.Client
	pool     *client.Pool
	answered atomic.Int64
	reloads  atomic.Int64
	err      error
}

func (r *rotated) path(format string, args ...any) string {
	return filepath.Join(r.dir, fmt.Sprintf(format, args...))
}

func memberIP(n int) string { return fmt.Sprintf("127.0.110.%d", n) }

// secrets are the files of a member, or of a client.
func (r *rotated) secrets(who string, n int) client.TLSOptions {
	return client.TLSOptions{
		CertFile: r.path("%s%d.pem", who, n), KeyFile: r.path("%s%d.key", who, n),
		ClientCAFile: r.path("ca.pem"), RootCAFile: r.path("ca.pem"),
	}
}

// reissue gives every member, or every client, a new certificate.
func (r *rotated) reissue(a *pki.Authority, who string) {
	r.t.Helper()
	for n := range 5 {
		o := r.secrets(who, n)
		a.Issue(memberIP(n+1), o.CertFile, o.KeyFile, pki.ForIP(memberIP(n+1)))
	}
}

func rotatedCluster(t *testing.T, a *pki.Authority) *rotated {
	t.Helper()
	r := &rotated{t: t, dir: t.TempDir()}
	pki.Replace(t, r.path("ca.pem"), a.Text)
	pki.Replace(t, r.path("tokens"), []byte("read "+oldToken+"\n"))
	pki.Replace(t, r.path("token"), []byte(oldToken))
	r.reissue(a, "member")
	r.reissue(a, "client")
	for n := range 5 {
		c := onLoopback(t, n+1, func(o *cluster.Options) {
			o.GossipAddr, o.HTTPAddr = memberIP(n+1)+":0", memberIP(n+1)+":0"
			o.Gossip.Keys = oneKey
			o.HTTP.Server.TLS = r.secrets("member", n)
			o.HTTP.Guard.TokenFile = r.path("tokens")
			if n > 0 {
				o.Seeds = []string{r.all[0].Local().Addr.String()}
			}
		})
		require.NoError(t, c.Start(within(t, 20*time.Second)))
		r.all = append(r.all, c)
	}
	agreed(t, r.all)
	return r
}

// load starts a worker for every member; stop ends them and reports.
func (r *rotated) load() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for n, c := range r.all {
		w := &worker{}
		logger := slog.New(counting{slog.DiscardHandler, &w.reloads})
		var err error
		w.pool, err = client.NewPool(client.PoolOptions{TLS: r.secrets("client", n), TokenFile: r.path("token"), Logger: logger})
		require.NoError(r.t, err)
		w.client, err = client.New(client.Options{
			URLs: []string{"https://" + c.HTTPAddr()}, Pool: w.pool, Retries: option.None, Logger: logger,
		})
		require.NoError(r.t, err)
		r.workers = append(r.workers, w)
		wg.Go(func() { w.run(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
		for n, w := range r.workers {
			require.NoError(r.t, w.err, "asking member %d", n+1)
			require.NoError(r.t, w.client.Close())
			require.NoError(r.t, w.pool.Close())
			r.t.Log("member", n+1, "answered", w.answered.Load())
		}
	}
}

// askEvery is the time between two requests of a worker. A worker without a pause
// would take a whole processor from the tests that run beside this one.
const askEvery = 20 * time.Millisecond

func (w *worker) run(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		_, err := w.client.Lookup(ctx, fmt.Sprintf("user:%d", i), client.Near{})
		if err == nil && i%5 == 0 {
			_, err = w.client.LookupBatch(ctx, []string{"a", "b"}, client.Near{})
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.err = errors.Join(w.err, err)
			return
		}
		w.answered.Add(1)
		if i%20 == 0 {
			w.pool.CloseIdleConnections() // handshakes are part of the load
		}
	}
}

// counting counts what is logged about files that were reloaded.
type counting struct {
	slog.Handler
	reloads *atomic.Int64
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }

func (c counting) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "files reloaded" {
		c.reloads.Add(1)
	}
	return nil
}

// progress waits until every worker has had some more answers. A worker that has failed
// never has.
func (r *rotated) progress() {
	r.t.Helper()
	for _, w := range r.workers {
		want := w.answered.Load() + 20
		r.await("a worker to go on", func() bool { return w.answered.Load() >= want })
	}
}

func (r *rotated) await(what string, condition func() bool) {
	r.t.Helper()
	awaitWithin(r.t, 30*time.Second, what, condition)
}

// clientsReload waits until all workers have loaded their new files.
func (r *rotated) clientsReload(change func()) {
	r.t.Helper()
	var before []int64
	for _, w := range r.workers {
		before = append(before, w.reloads.Load())
	}
	change()
	for n, w := range r.workers {
		r.await("a client to reload", func() bool { return w.reloads.Load() > before[n] })
	}
	r.progress()
}

// show waits until all members show a certificate of an authority, to a client that
// trusts only this authority.
func (r *rotated) show(a *pki.Authority) {
	r.t.Helper()
	for n, c := range r.all {
		r.await("a member to show its new certificate", func() bool {
			o := r.secrets("client", n)
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
			require.NoError(r.t, err)
			dialer := &net.Dialer{Timeout: 10 * time.Second}
			conn, err := tls.DialWithDialer(dialer, "tcp", c.HTTPAddr(), &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{pair}})
			if err != nil {
				return false
			}
			return conn.Close() == nil
		})
	}
	r.progress()
}

// accept waits until all members accept a token, or none does.
func (r *rotated) accept(text string, want bool) {
	r.t.Helper()
	for n, c := range r.all {
		asker, err := client.New(client.Options{
			URLs: []string{"https://" + c.HTTPAddr()}, Logger: slog.New(slog.DiscardHandler),
			PoolOptions: client.PoolOptions{TLS: r.secrets("client", n), Token: func() string { return text }},
		})
		require.NoError(r.t, err)
		r.await("a member to read its tokens", func() bool {
			_, err := asker.Ring(r.t.Context())
			return (err == nil) == want
		})
		require.NoError(r.t, asker.Close())
	}
	r.progress()
}

// gossip makes every member announce a value, and waits until all others have received
// it.
func (r *rotated) gossip(step string) {
	r.t.Helper()
	for _, c := range r.all {
		require.NoError(r.t, c.Update(r.t.Context(), func(a *membership.Attributes) { a.Metadata = map[string]string{"step": step} }))
	}
	r.await("all to hear all", func() bool {
		for _, c := range r.all {
			for _, m := range c.Members() {
				if m.Metadata["step"] != step {
					return false
				}
			}
		}
		return true
	})
	r.progress()
}

// TestRotationUnderLoad replaces every secret of a running cluster of five, in the
// order that docs/security.md gives, without one failed request and without one
// member taken for gone.
func TestRotationUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for files to be read again")
	}
	t.Parallel() // it waits most of the time
	older, newer := pki.New(t, "older"), pki.New(t, "newer")
	r := rotatedCluster(t, older)
	var stories []<-chan []cluster.Event
	for _, c := range r.all {
		stories = append(stories, follow(c.Events(context.Background())))
	}
	fingerprint := r.all[0].Fingerprint()
	stop := r.load()
	r.progress()

	// Certificates: both authorities, then new certificates, then one authority.
	r.clientsReload(func() { pki.Replace(t, r.path("ca.pem"), older.Text, newer.Text) })
	r.reissue(newer, "member")
	r.show(newer)
	r.clientsReload(func() { r.reissue(newer, "client") })
	r.clientsReload(func() { pki.Replace(t, r.path("ca.pem"), newer.Text) })

	// Tokens: both at the servers, then the new one at the clients, then one.
	pki.Replace(t, r.path("tokens"), []byte("read "+oldToken+"\nread "+newToken+"\n"))
	r.accept(newToken, true)
	r.clientsReload(func() { pki.Replace(t, r.path("token"), []byte(newToken)) })
	pki.Replace(t, r.path("tokens"), []byte("read "+newToken+"\n"))
	r.accept(oldToken, false)

	// Gossip keys: install everywhere, use everywhere, remove everywhere.
	for step, do := range []func(*cluster.Cluster) error{
		func(c *cluster.Cluster) error { return c.Keys().Install(otherKey[0]) },
		func(c *cluster.Cluster) error { return c.Keys().Use(otherKey[0]) },
		func(c *cluster.Cluster) error { return c.Keys().Remove(oneKey[0]) },
	} {
		for _, c := range r.all {
			require.NoError(t, do(c))
		}
		r.gossip(fmt.Sprint(step))
	}

	stop()
	for _, c := range r.all {
		require.Equal(t, fingerprint, c.Fingerprint())
		require.True(t, c.Health().Healthy, "%+v", c.Health().Problems)
		require.Len(t, c.Members(), 5)
	}
	requireNoFalseFailure(t, r.all, stories)
}

// requireNoFalseFailure stops the members and checks the events that each has received.
func requireNoFalseFailure(t *testing.T, all []*cluster.Cluster, stories []<-chan []cluster.Event) {
	t.Helper()
	before := time.Now()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { _ = c.Stop(context.Background()) })
	}
	wg.Wait()
	for n := range all {
		for _, e := range <-stories[n] {
			if e.At.Before(before) {
				require.Contains(t, []cluster.EventKind{cluster.MemberUpdated, cluster.HealthChanged}, e.Kind, "%+v", e)
				require.False(t, e.Health != nil && !e.Health.After.Ready, "%+v", e)
			}
		}
	}
}
