package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

func TestMinMembers(t *testing.T) {
	long(t)
	inBubble(t, func(t *testing.T, b *testNet) {
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
		require.Equal(t, "2 of 3 members that are needed to begin are here: start the others, or set Bootstrap.Alone",
			problem(t, first, api.ProblemMinMembers).Message)
		third := b.start(3, three)
		b.agree(first, second, third)
		require.NoError(t, first.WaitReady(within(t, patience)))
		require.NoError(t, third.Stop(t.Context()))
		require.NoError(t, second.Stop(t.Context()))
		require.True(t, first.Health().Ready, "it is about the beginning alone")
	})
}

// With a handoff one member founds the cluster and the others receive from it. The founder is
// not ready before MinMembers members own partitions: until then a write would find no quorum.
func TestMinMembersWithHandoff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		received := make(chan struct{})
		var all []*cluster.Cluster
		for i := 1; i <= 3; i++ {
			s := &store{shelf: sh, data: make(map[int]map[string]int), released: make(map[int]int)}
			s.fault = func(ctx context.Context, _ int) error {
				select {
				case <-received:
				case <-ctx.Done():
				}
				return ctx.Err()
			}
			c := b.make(i, func(o *cluster.Options) { o.Handoff.Mover, o.Bootstrap.MinMembers = s, 3 })
			sh.stores[c.Local().Start.Nonce] = s
			require.NoError(t, c.Start(t.Context()))
			all = append(all, c)
		}
		b.await("the first one owns", func() bool { return all[0].Local().State == membership.Active })
		time.Sleep(10 * time.Second)
		require.False(t, all[0].Health().Ready)
		require.Equal(t, "1 of 3 members that are needed to begin own partitions: the others are receiving", problem(t, all[0], api.ProblemMinMembers).Message)
		close(received)
		for _, c := range all {
			require.NoError(t, c.WaitReady(within(t, patience)))
		}
		b.still(all...)
		require.NoError(t, all[1].Drain(within(t, patience)))
		require.NoError(t, all[1].Stop(t.Context()))
		require.True(t, all[0].Health().Ready, "it is about the beginning alone")
	})
}

func TestBootstrapAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
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

// With a handoff a member whose seeds lead to no other member may stand beside a cluster that it
// does not reach. It does not begin alone, unless its options say that it may.
// Members on one host may have one port and a loopback address each. The address of another one is not that of this member.
func TestSeedsOnLoopback(t *testing.T) {
	for name, c := range map[string]struct {
		own, other string
		begins     bool
	}{
		"another loopback address":       {"127.0.0.1:7946", "127.0.0.2:7946", false},
		"loopback, bound to another one": {"10.0.0.1:7946", "127.0.0.1:7946", true},
		"another port of its own":        {"127.0.0.1:7946", "127.0.0.1:7947", false},
		"its own address":                {"127.0.0.1:7946", "127.0.0.1:7946", true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				first, _ := b.startStore(newShelf(), 1, func(o *cluster.Options) {
					o.GossipAddr, o.Seeds, o.Bootstrap.MinMembers = c.own, []string{c.own, c.other}, 0
				})
				require.Equal(t, c.begins, first.WaitReady(within(t, patience)) == nil)
			})
		})
	}
}

func TestAHandoffDoesNotBeginAlone(t *testing.T) {
	own := membership.DiscoveryFunc(func(context.Context) ([]string, error) { return []string{gossipAddr(1)}, nil })
	for name, c := range map[string]struct {
		edit   edit
		begins bool
	}{
		"a seed that does not answer":  {func(*cluster.Options) {}, false},
		"DNS that names it alone":      {func(o *cluster.Options) { o.Seeds, o.Discovery = nil, own }, false},
		"discovery that names nobody":  {func(o *cluster.Options) { o.Seeds, o.Discovery = nil, membership.Join() }, true},
		"Alone":                        {func(o *cluster.Options) { o.Bootstrap.Alone = true }, true},
		"Alone, and more are expected": {func(o *cluster.Options) { o.Bootstrap.Alone, o.Bootstrap.ExpectedMembers = true, 5 }, true},
		"MinMembers 1":                 {func(o *cluster.Options) { o.Bootstrap.MinMembers = 1 }, true},
		"one is expected":              {func(o *cluster.Options) { o.Bootstrap.ExpectedMembers = 1 }, true},
		"no seeds":                     {func(o *cluster.Options) { o.Seeds = nil }, true},
		"its own address as the seed":  {func(o *cluster.Options) { o.Seeds = []string{gossipAddr(1)} }, true},
		"no handoff":                   {func(o *cluster.Options) { o.Handoff.Mover = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				sh := newShelf()
				var lines logLines
				first, _ := b.startStore(sh, 1, func(o *cluster.Options) { o.Bootstrap.MinMembers = 0 }, lines.keep, c.edit)
				err := first.WaitReady(within(t, patience))
				if c.begins {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, "this member is alone, and does not begin a cluster with a handoff")
				require.ErrorContains(t, err, "set Bootstrap.MinMembers, to 1 where this member is to begin alone")
				require.Equal(t, membership.Joining, first.Local().State)
				require.Len(t, lines.with("level=WARN", "problem="+api.ProblemMinMembers), 1, "%s", lines.text.String())
				second, _ := b.startStore(sh, 2, func(o *cluster.Options) { o.Bootstrap.MinMembers = 0 })
				for _, one := range []*cluster.Cluster{first, second} {
					require.NoError(t, one.WaitReady(within(t, patience)))
				}
				require.NotContains(t, problems(first), api.ProblemMinMembers)
			})
		})
	}
}

// An error of Start that its context has ended too early says which addresses led nowhere.
func TestAStartThatEndsEarlyNamesTheSeeds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1, func(o *cluster.Options) { o.Bootstrap.Timeout = time.Minute })
		err := c.Start(within(t, 10*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no address to join through has led to another member: 10.0.0.2:7946: ")
	})
}

// Two of five members may be the smaller side of a split network. Without MinMembers they wait for a
// third one.
func TestExpectedMembersWaitForAMajority(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		five := func(o *cluster.Options) { o.Bootstrap.ExpectedMembers = 5 }
		all := []*cluster.Cluster{b.start(1, five), b.start(2, five)}
		b.agree(all...)
		time.Sleep(time.Minute)
		require.Contains(t, problems(all[0]), api.ProblemMinMembers)
		all = append(all, b.start(3, five))
		for _, c := range all {
			require.NoError(t, c.WaitReady(within(t, patience)))
		}
	})
}

func TestExpectedMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
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
