package cluster_test

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport/api"
)

// askingLog is a log handler that asks the cluster for its state with each line, as one does that adds it to each
// line or sends it to a service that tracks errors.
type askingLog struct {
	slog.Handler
	cluster *atomic.Pointer[cluster.Cluster]
	lines   *atomic.Int32
}

func (l askingLog) Enabled(context.Context, slog.Level) bool { return true }

func (l askingLog) Handle(context.Context, slog.Record) error {
	l.lines.Add(1)
	if c := l.cluster.Load(); c != nil {
		_ = c.Health()
		_ = c.Metrics()
		_ = c.Members()
		_ = c.Handoff().State()
		_ = c.Local()
		_ = c.Fingerprint()
	}
	return nil
}

func (l askingLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l askingLog) WithGroup(string) slog.Handler      { return l }

// The log handler may call the cluster: no lock is held that health needs.
func TestALogThatCallsTheCluster(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		var asked []*askingLog
		asking := func(o *cluster.Options) {
			l := &askingLog{cluster: new(atomic.Pointer[cluster.Cluster]), lines: new(atomic.Int32)}
			asked = append(asked, l)
			o.Logger = slog.New(*l)
		}
		start := func(i int, edits ...edit) *cluster.Cluster {
			s := &store{shelf: sh, data: make(map[int]map[string]int), released: make(map[int]int)}
			failed := new(atomic.Bool)
			s.fault = func(context.Context, int) error {
				if !failed.Swap(true) {
					panic("made up")
				}
				return nil
			}
			c := b.make(i, append(edits, asking, func(o *cluster.Options) { o.Handoff.Mover = s })...)
			asked[len(asked)-1].cluster.Store(c)
			sh.mu.Lock()
			sh.stores[c.Local().Start.Nonce] = s
			sh.mu.Unlock()
			require.NoError(t, c.Start(t.Context()))
			return c
		}
		one, two, three := start(1), start(2), start(3)
		b.still(one, two, three)
		other := b.make(4, func(o *cluster.Options) { o.PartitionCount = 128 })
		require.Error(t, other.Start(t.Context()), "members log that they refuse it")
		b.split(time.Minute, []int{1}, []int{2, 3})
		b.still(one, two, three)
		require.NoError(t, three.Drain(within(t, patience)))
		require.NoError(t, three.Stop(within(t, patience)))
		b.free(3)
		require.NoError(t, one.Stop(within(t, patience)))
		for _, l := range asked {
			require.NotZero(t, l.lines.Load())
		}
	})
}

// A log whose writes block, as those to a full pipe do, does not hold up a look at health.
func TestALogThatBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		goOn := make(chan struct{})
		c := b.make(1, func(o *cluster.Options) {
			o.Seeds = []string{gossipAddr(2)}
			o.Logger = slog.New(slog.NewTextHandler(blockedWriter{goOn}, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		started := make(chan error, 1)
		go func() { started <- c.Start(within(t, patience)) }()
		time.Sleep(20 * time.Second) // it finds no seed meanwhile, and says so
		synctest.Wait()
		done := make(chan api.Health, 1)
		go func() { done <- c.Health() }()
		select {
		case h := <-done:
			require.True(t, slices.ContainsFunc(h.Problems, func(p api.Problem) bool { return p.Code == "no-seed-reached" }), "%v", h.Problems)
		case <-time.After(time.Second):
			t.Error("health waits for the log")
		}
		close(goOn)
		require.NoError(t, <-started)
	})
}

// blockedWriter blocks until a channel is closed.
type blockedWriter struct{ goOn <-chan struct{} }

func (w blockedWriter) Write(b []byte) (int, error) {
	<-w.goOn
	return len(b), nil
}
