package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
)

var _ = func(c *cluster.Cluster) { transport.NewCollector(c) }

func TestMetricsBeforeTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		m := b.make(1).Metrics()
		require.Equal(t, "orders", m.ClusterName)
		require.Equal(t, "n1", m.NodeID)
		require.Equal(t, membership.Joining, m.State)
		require.False(t, m.Ready)
		require.True(t, m.Problems[api.ProblemNotStarted])
		require.Contains(t, m.Problems, api.ProblemZones, "what is not there is said")
		require.Zero(t, m.Rebuilds)
		require.Zero(t, m.ViewSince)
		require.Zero(t, m.Gossip)
	})
}

func TestMetricsOfACluster(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		var primaries, replicas int
		for i, c := range all {
			m := c.Metrics()
			require.True(t, m.Ready && m.Healthy && m.Agreed && !m.Isolated)
			require.NotContains(t, values(m.Problems), true)
			require.Equal(t, membership.Active, m.State)
			require.Equal(t, "rf3:balanced/3", m.Configuration)
			require.Equal(t, []int{64, 3}, []int{m.Partitions, m.ReplicationFactor})
			require.Equal(t, ring.Spread{Zones: 3, Regions: 1}, m.Spread)
			require.Equal(t, c.Fingerprint(), m.Fingerprint)
			require.Len(t, m.Members, 3)
			require.Equal(t, c.Members(), m.Members)
			require.WithinDuration(t, time.Now(), m.ViewSince, time.Minute)
			require.WithinDuration(t, time.Now(), m.LastSync, time.Minute)
			require.Equal(t, c.Health().LastSync, m.LastSync)
			require.Equal(t, uint64(2), m.Gossip.Joined, "n%d", i+1)
			require.NotZero(t, m.RingChanges)
			require.NotZero(t, m.Rebuilds) // fewer than changes: the table of a target is used again when it becomes the ring
			require.Zero(t, m.RebuildFailures)
			require.Zero(t, m.Incoming+m.Outgoing)
			primaries, replicas = primaries+m.Primaries, replicas+m.Replicas
		}
		require.Equal(t, 64, primaries, "each partition has one primary")
		require.Equal(t, 2*64, replicas)
	})
}

func values[K comparable, V any](m map[K]V) (all []V) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// The count of moves is the sum of the plans of all events, and a failed member is
// counted as failed.
func TestMetricsOfAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4)
		first := all[0]
		before := first.Metrics()
		var moved atomic.Uint64
		events := first.Events(t.Context())
		go func() {
			for e := range events {
				if e.Ring == nil {
					continue
				}
				plan, err := rebalance.Diff(e.Ring.Old, e.Ring.New)
				if err != nil {
					t.Error(err)
				}
				moved.Add(uint64(len(plan.Moves)))
			}
		}()
		lost := slots(t, first, "n4")
		require.NotZero(t, lost)
		b.net.Crash(addrPort(4))
		b.await("it is noticed", func() bool { return moved.Load() > 0 })
		b.agree(all[:3]...)
		m := first.Metrics()
		require.Equal(t, uint64(lost), moved.Load())
		require.Equal(t, before.Moves+uint64(lost), m.Moves)
		require.Equal(t, before.RingChanges+1, m.RingChanges)
		require.Equal(t, uint64(1), m.Gossip.Failed)
		require.Equal(t, 1, m.Gossip.Lost)
		require.True(t, m.Agreed)

		back := b.start(4)
		b.agree(all[0], all[1], all[2], back)
		m = first.Metrics()
		require.Equal(t, uint64(1), m.Gossip.Rejoined)
		require.Zero(t, m.Gossip.Lost)
		require.Equal(t, before.Fingerprint, m.Fingerprint)
		require.Greater(t, m.ViewVersion, before.ViewVersion)
		require.Equal(t, before.Moves+moved.Load(), m.Moves)
		require.Greater(t, moved.Load(), uint64(lost))
	})
}

// slots is how many replica slots a member holds.
func slots(t *testing.T, c *cluster.Cluster, id string) (count int) {
	t.Helper()
	plan, err := c.Plan(rebalance.Change{Remove: []string{id}})
	require.NoError(t, err)
	for _, m := range plan.Moves {
		if m.From == id {
			count++
		}
	}
	return count
}

// slow is a strategy that takes some time, and fails on request.
type slow struct {
	takes time.Duration
	fails *bool
}

func (slow) Name() string { return "slow/1" }

func (s slow) Assign(t ring.Topology, table ring.Table) error {
	time.Sleep(s.takes) // in virtual time
	if *s.fails {
		return errors.New("not today")
	}
	return rebalance.Rendezvous{}.Assign(t, table)
}

func TestMetricsOfRebuilds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		fails := false
		slowly := func(o *cluster.Options) { o.Strategy = slow{takes: 30 * time.Millisecond, fails: &fails} }
		c := b.start(1, slowly)
		b.await("it has a ring", func() bool { return c.Metrics().Primaries == 64 })
		m := c.Metrics()
		require.NotZero(t, m.Rebuilds)
		require.Equal(t, time.Duration(m.Rebuilds)*30*time.Millisecond, m.RebuildTime)
		require.Equal(t, 30*time.Millisecond, m.LastRebuildTime)
		require.Zero(t, m.Moves, "nothing moves to the first ring")

		fails = true
		b.start(2, slowly)
		b.await("it keeps the ring", func() bool { return c.Metrics().RebuildFailures > 0 })
		m = c.Metrics()
		require.True(t, m.Problems[api.ProblemStrategy])
		require.Equal(t, 64, m.Primaries)
		require.Zero(t, m.Moves)
		fails = false
		b.await("it recovers", func() bool {
			return c.Metrics().Healthy == c.Health().Healthy && !c.Metrics().Problems[api.ProblemStrategy]
		})
		require.NotZero(t, c.Metrics().Moves)
	})
}

// A draining member counts its partitions as outgoing, and the members that take over
// count them as incoming.
func TestMetricsOfADrain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4)
		plan, err := all[0].Plan(rebalance.Change{Drain: []string{"n4"}})
		require.NoError(t, err)
		changes := make(map[string]rebalance.NodeChange)
		for _, change := range plan.Members {
			changes[change.ID] = change
		}
		held := changes["n4"].Lost
		require.NotZero(t, held)
		b.net.Isolate(addrPort(2)) // so that not all members agree, and the drain does not proceed
		require.Error(t, all[3].Drain(within(t, 3*time.Second)))
		m := all[3].Metrics()
		require.Equal(t, membership.Draining, m.State)
		require.Equal(t, held, m.Outgoing)
		require.Equal(t, held, m.Primaries+m.Replicas, "until it is done")
		require.Zero(t, m.Incoming)
		for _, c := range []*cluster.Cluster{all[0], all[2]} {
			m, change := c.Metrics(), changes[c.Local().ID]
			require.Equal(t, []int{change.Gained, change.Lost}, []int{m.Incoming, m.Outgoing}, change.ID)
		}
		require.NotZero(t, all[0].Metrics().Incoming, "it stands in the same zone")
		require.False(t, m.Agreed)
		require.Equal(t, 1, m.Differing)
		b.net.Heal()
	})
}

// A draining member that is alone keeps its data, and counts its partitions as
// stranded.
func TestMetricsOfStrandedPartitions(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		last, _ := b.startStore(newShelf(), 1)
		b.still(last)
		require.Zero(t, last.Metrics().Handoff.Stranded)
		require.ErrorIs(t, last.Drain(t.Context()), cluster.ErrNoSuccessor)
		m := last.Metrics()
		require.Equal(t, api.HandoffState{Stranded: 64}, m.Handoff)
		require.True(t, m.Problems[api.ProblemNotHandedOver])
	})
}

// Two members that were cut off from each other count shared partitions until each has
// merged from the other.
func TestMetricsOfSharing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		second, s := b.startStore(sh, 2)
		b.still(first, second)
		b.net.Isolate(addrPort(2))
		b.await("they are apart", func() bool { return len(first.Members()) == 1 && len(second.Members()) == 1 })
		mended := make(chan struct{})
		s.mu.Lock()
		s.fault = func(ctx context.Context, _ int) error {
			select {
			case <-mended:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s.mu.Unlock()
		b.net.Heal()
		b.await("the first waits for the second to merge", func() bool { return first.Metrics().Handoff.Sharing == 64 })
		require.Equal(t, 64, first.Handoff().State().Sharing)
		require.Zero(t, first.Metrics().Handoff.Stranded)
		close(mended)
		b.await("nothing is left to share", func() bool { return first.Metrics().Handoff.Sharing+second.Metrics().Handoff.Sharing == 0 })
		b.agree(first, second)
	})
}

func TestMetricsOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.start(1, func(o *cluster.Options) {
			o.HTTP.Guard.Tokens = []transport.Credential{{Token: func() string { return "0123456789abcdef-read" }}}
		})
		ask := func(target, token string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			w := httptest.NewRecorder()
			c.Handler().ServeHTTP(w, r)
			return w
		}
		require.Equal(t, 401, ask("/metrics", "").Code, "figures are for those with a token")
		require.Equal(t, 200, ask("/v1/lookup?key=k", "0123456789abcdef-read").Code)
		w := ask("/metrics", "0123456789abcdef-read")
		require.Equal(t, 200, w.Code)
		for _, line := range []string{
			`clusterkit_ready{cluster="orders"} 1`,
			`clusterkit_partitions_owned{cluster="orders",role="primary"} 64`,
			`clusterkit_http_refused_total{cluster="orders",reason="unauthorized"} 1`,
			`clusterkit_http_lookups_total{cluster="orders",kind="single"} 1`,
			`clusterkit_problem{cluster="orders",code="under-replicated"} 1`,
		} {
			require.Contains(t, w.Body.String(), line+"\n")
		}
		require.NotContains(t, w.Body.String(), "0123456789abcdef", "no secret in a metric")
		m := c.Metrics()
		require.Equal(t, uint64(1), m.Guard.Unauthorized)
		require.Equal(t, uint64(1), m.HTTP.Lookups)
		require.NoError(t, c.Stop(t.Context()))
		require.Contains(t, ask("/metrics", "0123456789abcdef-read").Body.String(), `clusterkit_ready{cluster="orders"} 0`, "also after it has stopped")
	})
}

func BenchmarkMetrics(b *testing.B) {
	c, err := cluster.New(options(1))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		c.Metrics()
	}
}
