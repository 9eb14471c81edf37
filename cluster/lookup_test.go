package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

func TestAllMembersAnswerAlike(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(6)
		for i := range 200 {
			key := fmt.Sprint("user:", i)
			p := all[0].Lookup(key)
			require.Equal(t, 3, p.Len())
			zones := make(map[string]bool)
			for _, n := range p.All() {
				zones[n.Zone()] = true
			}
			require.Len(t, zones, 3, "one owner a zone")
			nodes, err := all[5].NodesForKey(t.Context(), key)
			require.NoError(t, err)
			require.Len(t, nodes, 3)
			for j, n := range nodes {
				require.Equal(t, p.At(j).ID(), n.ID, "the primary first")
				require.True(t, n.Addr.IsValid())
			}
			for _, c := range all[1:] {
				require.Equal(t, p.Token(), c.Lookup(key).Token())
				require.Equal(t, p.Token(), c.Ring().LookupBytes([]byte(key)).Token())
			}
		}
		var batch ring.Batch
		keys := []string{"a", "b", "c"}
		all[2].Ring().Group(keys, &batch)
		grouped := 0
		for n, positions := range batch.All() {
			for _, i := range positions {
				primary, _ := all[0].Lookup(keys[i]).Primary()
				require.Equal(t, primary.ID(), n.ID())
				grouped++
			}
		}
		require.Equal(t, len(keys), grouped)
	})
}

func TestNodesForKeyWaitsForReadiness(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		found := make(chan []cluster.Member, 1)
		go func() {
			nodes, err := c.NodesForKey(t.Context(), "k")
			if err != nil {
				t.Error(err)
			}
			found <- nodes
		}()
		time.Sleep(time.Second)
		require.Empty(t, found)
		require.NoError(t, c.Start(t.Context()))
		require.Equal(t, c.Members(), <-found)
		require.NoError(t, c.Stop(t.Context()))
		_, err := c.NodesForKey(t.Context(), "k")
		require.ErrorIs(t, err, cluster.ErrStopped)
	})
}

func TestMembersAreSortedAndFound(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		for _, c := range b.startMany(4) {
			for i, m := range c.Members() {
				require.Equal(t, fmt.Sprintf("n%d", i+1), m.ID)
				require.Equal(t, membership.Active, m.State)
				require.Equal(t, addrPort(i+1), m.Addr)
				got, ok := c.Member(m.ID)
				require.True(t, ok)
				require.Equal(t, m, got)
			}
			for _, id := range []string{"", "n", "n0", "n5", "zz"} {
				_, ok := c.Member(id)
				require.False(t, ok, id)
			}
			self, _ := c.Member(c.Local().ID)
			require.Equal(t, self, c.Local())
		}
	})
}

func TestAnObserverRoutesAndOwnsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		observer := b.start(9, func(o *cluster.Options) { o.Observer = true })
		require.Equal(t, []string{api.ProblemNoRing, "no-seed-reached"}, problems(observer))
		require.ErrorContains(t, observer.WaitReady(within(t, time.Second)),
			"cluster: not ready: context deadline exceeded: no member owns anything yet")
		owners := []*cluster.Cluster{b.start(1, seededBy(9)), b.start(2), b.start(3)}
		b.agree(append([]*cluster.Cluster{observer}, owners...)...)
		require.NoError(t, observer.WaitReady(t.Context()))
		require.True(t, observer.Health().Healthy)
		require.Equal(t, membership.Observer, observer.Local().State)
		require.Equal(t, 4, observer.Health().Members)
		require.Equal(t, 3, observer.Ring().Len())
		for key := range 50 {
			p := observer.Lookup(fmt.Sprint(key))
			require.Equal(t, owners[0].Lookup(fmt.Sprint(key)).Token(), p.Token())
			require.False(t, p.Owns("n9"))
		}
		before := owners[0].Ring().Fingerprint()
		require.NoError(t, observer.Stop(within(t, patience)))
		b.agree(owners...)
		require.Equal(t, before, owners[0].Ring().Fingerprint(), "that an observer goes moves nothing")
	})
}

// seededBy makes a member join through another one.
func seededBy(i int) edit { return func(o *cluster.Options) { o.Seeds = []string{gossipAddr(i)} } }

func TestWeights(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		heavy := b.start(1, func(o *cluster.Options) { o.Weight = 4; o.ReplicationFactor = 1; o.PartitionCount = 1024 })
		light := b.start(2, func(o *cluster.Options) { o.ReplicationFactor = 1; o.PartitionCount = 1024 })
		b.agree(heavy, light)
		owned := 0
		for _, p := range light.Ring().All() {
			if p.Owns("n1") {
				owned++
			}
		}
		require.InDelta(t, 1024*4/5, owned, 60, "four of five partitions")
		m, _ := light.Member("n1")
		require.Equal(t, 4, m.Weight)
	})
}

func TestPlan(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4)
		before := all[0].Fingerprint()
		var plans []rebalance.Plan
		for _, c := range all {
			plan, err := c.Plan(rebalance.Change{Remove: []string{"n4"}})
			require.NoError(t, err)
			plans = append(plans, plan)
		}
		require.Equal(t, plans[0], plans[1])
		require.NotEmpty(t, plans[0].Moves)
		for _, m := range plans[0].Members {
			if m.ID == "n4" {
				require.Zero(t, m.Gained)
				require.Equal(t, len(plans[0].Moves), m.Lost)
			}
		}
		require.Equal(t, before, all[0].Fingerprint(), "nothing has changed")

		// The same partitions move when the member leaves.
		from := all[0].Ring()
		require.NoError(t, all[3].Stop(within(t, patience)))
		b.agree(all[:3]...)
		happened, err := rebalance.Diff(from, all[0].Ring())
		require.NoError(t, err)
		require.Equal(t, plans[0], happened)

		_, err = all[0].Plan(rebalance.Change{Remove: []string{"nobody"}, Drain: []string{"n1", "n1"}})
		require.ErrorContains(t, err, "cluster: planning: rebalance: what if: ")
		require.ErrorContains(t, err, `"nobody"`)
		nothing, err := all[0].Plan(rebalance.Change{})
		require.NoError(t, err)
		require.Empty(t, nothing.Moves)
	})
}

func TestWaitConvergedNamesMembersThatDiffer(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		require.NoError(t, all[0].WaitConverged(t.Context()))
		require.NoError(t, all[0].WaitConverged(ended()), "it has converged already")
		b.net.Isolate(addrPort(3))
		fourth := b.start(4)
		b.await("n1 sees n4", func() bool { return len(all[0].Members()) == 4 })
		time.Sleep(time.Second)
		err := all[0].WaitConverged(within(t, time.Second))
		var behind *cluster.NotConvergedError
		require.ErrorAs(t, err, &behind)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "cluster: not converged: context deadline exceeded: n3 has not confirmed this view")
		require.Equal(t, []api.Differing{{ID: "n3", Reason: "has not confirmed this view"}}, behind.Differing)

		// WaitConverged ends when the cluster stops.
		waiting := make(chan error, 1)
		go func() { waiting <- all[0].WaitConverged(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		require.Error(t, all[0].Stop(ended()), "no time to agree on the leave")
		require.NoError(t, all[0].Stop(t.Context()))
		require.ErrorIs(t, <-waiting, cluster.ErrStopped)
		b.net.Heal()
		b.agree(all[1], all[2], fourth)
	})
}
