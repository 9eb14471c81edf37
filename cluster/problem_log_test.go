package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
)

// logLines keeps what a member logs from level Info on.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// keep has a member log here.
func (l *logLines) keep(o *cluster.Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }

// with returns the lines that have all of some parts.
func (l *logLines) with(parts ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.text.String()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		found = append(found, line)
	}
	return found
}

func TestProblemsAreLoggedOnce(t *testing.T) {
	long(t)
	inBubble(t, func(t *testing.T, b *testNet) {
		var first, late logLines
		expected := func(o *cluster.Options) { o.Bootstrap.ExpectedMembers, o.Bootstrap.MinMembers = 6, 1 }
		all := []*cluster.Cluster{b.start(1, first.keep, expected), b.start(2, expected), b.start(3, expected)}
		b.agree(all...)
		second := b.start(3, at(30), late.keep, expected)
		wins(t, b, second, all[2], all[:2]...)
		require.Len(t, late.with("level=WARN", "a problem appeared", "problem=duplicate"), 1)
		require.Len(t, first.with("level=ERROR", "a problem appeared", "problem=minority"), 1, "three of six")
		require.NoError(t, all[2].Stop(t.Context()))
		b.await("it is over", func() bool { return len(late.with("a problem is over", "problem=duplicate")) == 1 })
		time.Sleep(time.Hour)
		require.Len(t, first.with("a problem appeared", "problem=minority"), 1)
	})
}

// A member with another strategy, and the members that it cannot join, have one line for each other.
func TestAWrongStrategyIsLoggedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var here, there logLines
		all := []*cluster.Cluster{b.start(1, here.keep)}
		for i := 2; i <= 10; i++ {
			all = append(all, b.start(i))
		}
		b.agree(all...)
		for range 3 {
			wrong := b.make(11, there.keep, func(o *cluster.Options) { o.Strategy = rebalance.Rendezvous{} })
			require.ErrorIs(t, wrong.Start(t.Context()), membership.ErrConfiguration)
		}
		time.Sleep(5 * time.Second)
		require.LessOrEqual(t, len(here.with("n11", "incompatible configuration")), 1, "%s", here.text.String())
		for i := 1; i <= 10; i++ {
			member := fmt.Sprintf(`\"n%d\"`, i)
			require.LessOrEqual(t, len(there.with(member, "incompatible configuration")), 3, "once a start: %s", there.text.String())
		}
		require.LessOrEqual(t, len(there.with("level=WARN")), 3*12, "%s", there.text.String())
	})
}

// A file that does not exist yet has one line.
func TestAFailingDiscoveryIsLoggedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var lines logLines
		b.start(1, lines.keep, func(o *cluster.Options) {
			o.Seeds, o.Discovery = nil, membership.File{Path: filepath.Join(t.TempDir(), "seeds")}
		})
		time.Sleep(time.Minute)
		require.Len(t, lines.with("no such file"), 1, "%s", lines.text.String())
	})
}

// A member whose seeds answer nothing goes ahead alone, and says so for as long as it is alone.
func TestNoSeedReached(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var lines logLines
		b.net.Isolate(addrPort(9))
		c := b.start(1, lines.keep, func(o *cluster.Options) { o.Seeds = []string{gossipAddr(1), gossipAddr(2), gossipAddr(9)} })
		p := problem(t, c, "no-seed-reached")
		require.False(t, p.Unready)
		require.Equal(t, "this member is alone, and no address to join through leads to another member: "+
			"10.0.0.2:7946: dial tcp 10.0.0.2:7946: connect: connection refused; 10.0.0.9:7946: no answer: "+
			"correct Seeds or Discovery, or open UDP and TCP to these addresses", p.Message)
		require.True(t, c.Metrics().Problems["no-seed-reached"])
		time.Sleep(time.Hour)
		require.Equal(t, p, problem(t, c, "no-seed-reached"))
		require.Len(t, lines.with("level=WARN", "problem=no-seed-reached"), 1, "%s", lines.text.String())
		second := b.start(2)
		b.agree(c, second)
		require.NotContains(t, problems(c), "no-seed-reached")
		require.False(t, c.Metrics().Problems["no-seed-reached"])
		require.Len(t, lines.with("a problem is over", "problem=no-seed-reached"), 1)
	})
}

// Members that wait for each other behind a name that is not found until they are ready say why.
func TestAFailingDiscoveryStaysInHealth(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		found := false
		var lines logLines
		var all []*cluster.Cluster
		for i := 1; i <= 3; i++ {
			all = append(all, b.start(i, lines.keep, func(o *cluster.Options) {
				o.Seeds, o.Bootstrap.MinMembers = nil, 3
				o.Discovery = membership.DiscoveryFunc(func(context.Context) ([]string, error) {
					if !found {
						return nil, errors.New("lookup orders.svc: no such host")
					}
					return []string{gossipAddr(1), gossipAddr(2), gossipAddr(3)}, nil
				})
			}))
		}
		lasts := time.Hour
		if testing.Short() {
			lasts = 10 * time.Minute
		}
		time.Sleep(lasts)
		for _, c := range all {
			require.Equal(t, "addresses to join through cannot be looked up: lookup orders.svc: no such host: "+
				"correct Seeds or Discovery, or mend what they ask", problem(t, c, "discovery").Message)
			require.True(t, c.Metrics().Problems["discovery"])
		}
		require.Len(t, lines.with("level=WARN", "problem=discovery"), 3)
		found = true
		b.agree(all...)
		time.Sleep(10 * time.Second)
		for _, c := range all {
			require.Empty(t, problems(c))
		}
		require.Len(t, lines.with("a problem is over", "problem=discovery"), 3)
	})
}
