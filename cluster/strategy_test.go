package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// moody is a strategy that works like Rendezvous until a test makes it fail.
type moody struct{ mood *atomic.Pointer[string] }

func newMoody() moody { return moody{new(atomic.Pointer[string])} }

func (m moody) be(mood string) { m.mood.Store(&mood) }

func (m moody) is() string {
	if mood := m.mood.Load(); mood != nil {
		return *mood
	}
	return ""
}

func (m moody) Name() string {
	if m.is() == "forgetful" {
		panic("what was it again?")
	}
	return "moody/1"
}

func (m moody) Assign(t ring.Topology, table ring.Table) error {
	if err := (rebalance.Rendezvous{}).Assign(t, table); err != nil {
		return err
	}
	switch m.is() {
	case "panicking":
		panic("no mood to")
	case "failing":
		return errors.New("no mood to")
	case "repeating":
		table.Row(7)[1] = table.Row(7)[0]
	case "inventing":
		table.Row(9)[0] = 999
	case "overreaching":
		table.Row(t.PartitionCount)[0] = 0
	}
	return nil
}

func TestAStrategyThatFails(t *testing.T) {
	for mood, says := range map[string]string{
		"panicking":    "Assign does not panic: panic: no mood to",
		"failing":      "Assign succeeds: no mood to",
		"repeating":    "partition 7: owners are distinct: node ",
		"inventing":    "partition 9: owners are nodes of the topology: owner 0 is index 999 of 4 nodes",
		"overreaching": "Assign does not panic: panic: runtime error: slice bounds out of range",
		"forgetful":    "Name does not panic: panic: what was it again?",
	} {
		t.Run(mood, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				strategy := newMoody()
				use := func(o *cluster.Options) { o.Strategy = strategy }
				all := b.startMany(3, use)
				events := all[0].Events(within(t, patience))
				before := all[0].Ring()
				keys := make(map[string]ring.Token)
				for i := range 100 {
					key := fmt.Sprint("key ", i)
					keys[key] = all[0].Lookup(key).Token()
				}

				// The strategy fails on the members, and works on the member that
				// joins.
				strategy.be(mood)
				newcomer := b.start(4, func(o *cluster.Options) { o.Strategy = newMoody() })
				b.await("all see four members", func() bool {
					return len(all[0].Members()) == 4 && len(all[1].Members()) == 4 && len(all[2].Members()) == 4
				})
				for _, c := range all {
					require.Equal(t, before.Fingerprint(), c.Ring().Fingerprint(), "the ring stays")
					for key, token := range keys {
						require.Equal(t, token, c.Lookup(key).Token())
					}
					p := problem(t, c, api.ProblemStrategy)
					require.Contains(t, p.Message, "lookups answer from the last ring: ring: strategy ")
					require.Contains(t, p.Message, says)
					require.False(t, p.Unready)
					h := c.Health()
					require.True(t, h.Ready, "%+v", h.Problems)
					require.False(t, h.Healthy)
					_, err := c.Plan(rebalance.Change{Remove: []string{"n1"}})
					require.ErrorContains(t, err, "cluster: planning: ")
				}
				require.Equal(t, 4, newcomer.Ring().Len())

				// At the next change the strategy works again.
				strategy.be("well")
				all = append(all, newcomer, b.start(5, use))
				b.agree(all...)
				for _, c := range all {
					require.Equal(t, 5, c.Ring().Len())
					require.Empty(t, problems(c))
				}

				require.NoError(t, all[0].Stop(within(t, patience)))
				var health []bool
				for e := range events {
					if e.Health != nil && len(e.Health.After.Problems) > 0 && e.Health.After.Problems[0].Code == api.ProblemStrategy {
						health = append(health, true)
					}
					if e.Ring != nil {
						require.NotZero(t, e.Ring.New.Len(), "no event about a ring that was not taken up")
					}
				}
				require.NotEmpty(t, health, "subscribers heard of it")
			})
		})
	}
}

// With a strategy that has never worked a member has no ring, and reports it.
func TestAStrategyThatNeverWorks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		strategy := newMoody()
		strategy.be("panicking")
		c := b.start(1, func(o *cluster.Options) { o.Strategy = strategy })
		require.Zero(t, c.Lookup("k").Len())
		require.Equal(t, []string{api.ProblemNoRing, api.ProblemStrategy, "no-seed-reached"}, problems(c))
		require.ErrorContains(t, c.WaitReady(ended()), "no member owns anything yet")
		strategy.be("well")
		require.NoError(t, c.Update(t.Context(), func(a *membership.Attributes) { a.HTTPAddr = "h:1" }), "any news makes it look again")
		require.NoError(t, c.WaitReady(within(t, patience)))
		require.Equal(t, []string{api.ProblemUnderReplicated, "no-seed-reached"}, problems(c))
	})
}

// stuck is a strategy that does not return for some number of nodes, until the test ends.
type stuck struct {
	rebalance.RoundRobin
	nodes int
	end   chan struct{}
}

func (s stuck) Name() string { return "stuck/1" }

func (s stuck) Assign(t ring.Topology, table ring.Table) error {
	if len(t.Nodes) == s.nodes {
		<-s.end
	}
	return s.RoundRobin.Assign(t, table)
}

// While a strategy does not return, lookups answer from the last ring, health says so, and Stop returns.
func TestAStrategyThatDoesNotReturn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		strategy := stuck{nodes: 3, end: make(chan struct{})}
		defer close(strategy.end)
		use := func(o *cluster.Options) { o.Strategy = strategy }
		all := b.startMany(2, use)
		token := all[0].Lookup("k").Token()
		events := all[0].Events(within(t, 2*patience))
		third := b.make(3, use)
		require.ErrorIs(t, third.Start(within(t, patience)), context.DeadlineExceeded)
		for _, c := range all {
			require.Equal(t, token, c.Lookup("k").Token())
			p := problem(t, c, api.ProblemStrategy)
			require.Regexp(t, `^lookups answer from the last ring: the strategy has been computing a table for [0-9m]+s$`, p.Message)
			require.False(t, p.Unready)
		}
		require.NoError(t, all[0].Stop(t.Context()))
		told := false
		for e := range events {
			told = told || e.Health != nil && slices.ContainsFunc(e.Health.After.Problems, func(p api.Problem) bool { return p.Code == api.ProblemStrategy })
		}
		require.True(t, told, "subscribers heard of it")
	})
}

// patient is a strategy that computes a table of two nodes for as long as the table is needed.
type patient struct {
	rebalance.RoundRobin
	begun, ended chan struct{}
}

func (s patient) Assign(t ring.Topology, table ring.Table) error {
	if len(t.Nodes) < 2 {
		return s.RoundRobin.Assign(t, table)
	}
	close(s.begun)
	for !t.Stopped() {
		time.Sleep(time.Second)
	}
	close(s.ended)
	return errors.New("not needed")
}

// Stop tells the strategy that the table is no longer needed, so that its goroutine ends.
func TestStopEndsATable(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		strategy := patient{begun: make(chan struct{}), ended: make(chan struct{})}
		use := func(o *cluster.Options) { o.Strategy = strategy }
		c := b.start(1, use)
		require.NotContains(t, fmt.Sprintf("%T", c.Ring().Config().Strategy), "stopping", "the ring has the strategy of the user")
		second := b.make(2, func(o *cluster.Options) { o.Strategy = rebalance.RoundRobin{} })
		require.NoError(t, second.Start(within(t, patience)))
		<-strategy.begun
		select {
		case <-strategy.ended:
			t.Fatal("the table was needed")
		case <-time.After(time.Minute):
		}
		require.NoError(t, c.Stop(within(t, patience)))
		select {
		case <-strategy.ended:
		case <-time.After(2 * time.Second):
			t.Fatal("the strategy was not told")
		}
	})
}
