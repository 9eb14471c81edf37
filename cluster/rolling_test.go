package cluster_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport/api"
)

// crowd looks keys up all the time, on members that have become ready.
type crowd struct {
	mu      sync.Mutex
	members map[int]*cluster.Cluster
	lookups atomic.Int64
	empty   atomic.Pointer[string]
	done    chan struct{}
}

func (c *crowd) run() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		for n, m := range c.members {
			if c.lookups.Add(1); m.Lookup(fmt.Sprint("key ", i)).Len() == 0 {
				what := fmt.Sprintf("n%d, %+v", n, m.Health())
				c.empty.Store(&what)
			}
		}
		c.mu.Unlock()
	}
}

// set makes the crowd ask a member, or stop asking it.
func (c *crowd) set(n int, m *cluster.Cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m == nil {
		delete(c.members, n)
		return
	}
	c.members[n] = m
}

// TestRollingChangeOfConfiguration replaces replication factor and strategy of a
// cluster that is in use, in the rounds of the documentation.
func TestRollingChangeOfConfiguration(t *testing.T) {
	t.Parallel()
	changes := [][2]cluster.Configuration{
		{{ReplicationFactor: 2, Strategy: rebalance.Rendezvous{}}, {ReplicationFactor: 2, Strategy: rebalance.Balanced{}}},
		{{ReplicationFactor: 2, Strategy: rebalance.Rendezvous{}}, {ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}},
		{{ReplicationFactor: 2, Strategy: rebalance.Rendezvous{Version: 2}}, {ReplicationFactor: 2, Strategy: rebalance.Rendezvous{}}},
		{{ReplicationFactor: 2, Strategy: rebalance.Balanced{Version: 2}}, {ReplicationFactor: 2, Strategy: rebalance.Balanced{}}},
		{{ReplicationFactor: 2, Strategy: rebalance.ConsistentHash{Version: 2}}, {ReplicationFactor: 2, Strategy: rebalance.ConsistentHash{}}},
		{{ReplicationFactor: 3, Strategy: rebalance.Ordinal{Prefix: "n", Zones: 3, Version: 1}}, {ReplicationFactor: 3, Strategy: rebalance.Ordinal{Prefix: "n", Zones: 3}}},
	}
	if testing.Short() {
		changes = changes[:2] // a strategy, and a factor
	}
	for _, change := range changes {
		before, after := change[0], change[1]
		oldName := fmt.Sprintf("rf%d:%s", before.ReplicationFactor, before.Strategy.Name())
		newName := fmt.Sprintf("rf%d:%s", after.ReplicationFactor, after.Strategy.Name())
		t.Run(newName, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				const members = 5
				with := func(main cluster.Configuration, accept ...cluster.Configuration) edit {
					return func(o *cluster.Options) {
						o.ReplicationFactor, o.Strategy, o.AlsoRuns = main.ReplicationFactor, main.Strategy, accept
					}
				}
				all := b.startMany(members, with(before))
				users := &crowd{members: make(map[int]*cluster.Cluster), done: make(chan struct{})}
				for i, c := range all {
					users.set(i, c)
				}
				go users.run()
				defer close(users.done)

				quiet := func(step string) string {
					b.agree(all...)
					in := all[0].Health().Configuration
					for _, c := range all {
						h := c.Health()
						require.Equal(t, in, h.Configuration, "%s: %s", step, h.NodeID)
						require.True(t, h.Healthy, "%s: %s: %+v", step, h.NodeID, h.Problems)
						require.Equal(t, members, c.Ring().Len())
					}
					require.Nil(t, users.empty.Load(), "%s: empty placement on %v", step, users.empty.Load())
					return in
				}
				restart := func(phase string, options edit) (seen []string) {
					for i, c := range all {
						users.set(i, nil)
						require.NoError(t, c.Stop(within(t, patience)))
						all[i] = b.start(i+1, options)
						users.set(i, all[i])
						seen = append(seen, quiet(fmt.Sprintf("%s, after n%d", phase, i+1)))
					}
					return seen
				}
				require.Equal(t, oldName, quiet("at first"))
				seen := restart("accepting both", with(after, before))
				for _, in := range seen[:members-1] {
					require.Equal(t, oldName, in, "as long as one member does not know the new one")
				}
				require.Equal(t, newName, seen[members-1])
				for _, in := range restart("dropping the old", with(after)) {
					require.Equal(t, newName, in)
				}
				require.Equal(t, after.ReplicationFactor, all[0].Lookup("k").Len())
				require.Equal(t, []string{newName}, all[0].Local().Configurations)
				require.Greater(t, users.lookups.Load(), int64(1000))
			})
		})
	}
}

// A joining member may share a configuration with the members, but not the one in use.
// It is admitted, owns nothing and says why, until the cluster runs a configuration
// that it can run.
func TestAJoinerWithoutTheConfigurationInUse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		older, newer := cluster.Configuration{ReplicationFactor: 1}, cluster.Configuration{ReplicationFactor: 2}
		with := func(main cluster.Configuration, accept ...cluster.Configuration) edit {
			return func(o *cluster.Options) { o.ReplicationFactor, o.AlsoRuns = main.ReplicationFactor, accept }
		}
		all := b.startMany(2, with(newer, older))
		require.Equal(t, "rf2:balanced/3", all[0].Health().Configuration)
		ring := all[0].Ring().Fingerprint()

		joiner := b.start(3, with(older))
		require.Equal(t, membership.Joining, joiner.Local().State)
		require.Equal(t, []string{api.ProblemConfiguration}, problems(joiner)[:1])
		require.Equal(t, `the cluster runs "rf2:balanced/3", this member can run ["rf1:balanced/3"]: start it with that configuration in AlsoRuns`,
			problem(t, joiner, api.ProblemConfiguration).Message)
		require.False(t, joiner.Health().Ready)
		require.Equal(t, "rf2:balanced/3", joiner.Health().Configuration)
		require.Zero(t, joiner.Lookup("k").Len())
		err := joiner.WaitReady(within(t, 5*time.Second))
		require.ErrorContains(t, err, `cluster: not ready: context deadline exceeded: the cluster runs "rf2:balanced/3"`)
		for _, c := range all {
			require.Len(t, c.Members(), 3)
			require.Equal(t, ring, c.Ring().Fingerprint(), "%s: nothing has moved", c.Local().ID)
			require.Equal(t, c.Ring(), c.Ring().Target(), "nor is about to")
			require.True(t, c.Health().Ready)
		}
		// It cannot hold the view of the others, and does not keep them from agreeing.
		time.Sleep(20 * time.Second)
		for _, c := range all {
			require.NoError(t, c.WaitConverged(within(t, time.Second)), c.Local().ID)
			require.NotContains(t, problems(c), api.ProblemDisagreement)
		}
		require.Error(t, joiner.WaitConverged(within(t, time.Second)))

		require.NoError(t, all[0].Stop(within(t, patience)))
		all[0] = b.start(1, with(older, newer))
		require.NoError(t, joiner.WaitReady(within(t, patience)))
		b.agree(append(all, joiner)...)
		for _, c := range append(all, joiner) {
			require.Equal(t, "rf1:balanced/3", c.Health().Configuration)
			require.Equal(t, 3, c.Ring().Len())
		}
	})
}
