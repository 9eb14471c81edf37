package cluster_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

func TestMinMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		three := func(o *cluster.Options) { o.Bootstrap.MinMembers = 3 }
		first, second := b.start(1, three), b.start(2, three)
		b.agree(first, second)
		time.Sleep(time.Hour)
		for _, c := range []*cluster.Cluster{first, second} {
			require.Equal(t, membership.Joining, c.Local().State)
			require.Equal(t, 0, c.Lookup("k").Len())
			require.Equal(t, []string{api.ProblemMinMembers}, problems(c))
			require.False(t, c.Health().Ready)
		}
		require.Equal(t, "2 of 3 members are here that it takes to begin: start the others, or set Bootstrap.Alone",
			problem(t, first, api.ProblemMinMembers).Message)
		third := b.start(3, three)
		b.agree(first, second, third)
		require.NoError(t, first.WaitReady(within(t, patience)))
		require.NoError(t, third.Stop(t.Context()))
		require.NoError(t, second.Stop(t.Context()))
		require.True(t, first.Health().Ready, "it is about the beginning alone")
	})
}

func TestBootstrapAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		begun := time.Now()
		c := b.start(1, func(o *cluster.Options) {
			o.Bootstrap.MinMembers, o.Bootstrap.Alone, o.Bootstrap.Timeout = 3, true, 20*time.Second
			o.Seeds = nil
		})
		require.Equal(t, membership.Joining, c.Local().State)
		require.NoError(t, c.WaitReady(within(t, patience)))
		require.GreaterOrEqual(t, time.Since(begun), 20*time.Second)
		require.Less(t, time.Since(begun), 22*time.Second)
	})
}

func TestExpectedMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		five := func(o *cluster.Options) { o.Bootstrap.ExpectedMembers = 5 }
		all := b.startMany(5, five)
		require.True(t, all[0].Health().Healthy)
		require.NoError(t, all[4].Stop(t.Context()))
		b.await("one is missed", func() bool { return len(all[0].Members()) == 4 })
		require.Equal(t, []string{api.ProblemExpectedMembers}, problems(all[0]))
		require.Equal(t, "4 of 5 expected members are here", problem(t, all[0], api.ProblemExpectedMembers).Message)
		require.False(t, problem(t, all[0], api.ProblemExpectedMembers).Critical)
		require.True(t, all[0].Health().Ready)
		require.NoError(t, all[3].Stop(t.Context()))
		require.NoError(t, all[2].Stop(t.Context()))
		b.await("three are missed", func() bool { return len(all[0].Members()) == 2 })
		require.True(t, problem(t, all[0], api.ProblemMinority).Critical)
		require.True(t, all[0].Health().Ready, "it is said, and nothing else")
	})
}
