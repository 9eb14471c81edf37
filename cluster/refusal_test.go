package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport/api"
)

var (
	oneKey   = [][]byte{[]byte("one key of 16 b.")}
	otherKey = [][]byte{[]byte("another of 16 b.")}
)

// refusal is a member that does not belong into a cluster.
type refusal struct {
	name    string
	cluster edit // an option of the members of the cluster
	joiner  edit // the option in which the joining member differs
	reason  error
	says    []string
}

func refusals() []refusal {
	asIs := func(*cluster.Options) {}
	keys := func(k [][]byte) edit { return func(o *cluster.Options) { o.Gossip.Keys = k } }
	return []refusal{
		{"partition count", asIs, func(o *cluster.Options) { o.PartitionCount = 128 }, membership.ErrConfiguration,
			[]string{"PartitionCount is 64 there and 128 here", "fixed for a cluster's life"}},
		{"replication factor", asIs, func(o *cluster.Options) { o.ReplicationFactor = 2 }, membership.ErrConfiguration,
			[]string{`Configurations is ["rf3:balanced/3"] there and ["rf2:balanced/3"] here`, "none in common", "rolling restart"}},
		{"strategy", asIs, func(o *cluster.Options) { o.Strategy = rebalance.RoundRobin{} }, membership.ErrConfiguration,
			[]string{`["rf3:balanced/3"] there and ["rf3:` + rebalance.RoundRobin{}.Name() + `"] here`}},
		{"the strategy of an older release", func(o *cluster.Options) { o.Strategy = rebalance.Rendezvous{} },
			func(o *cluster.Options) { o.Strategy = rebalance.Rendezvous{Version: 1} }, membership.ErrConfiguration,
			[]string{`["rf3:rendezvous/4"] there and ["rf3:rendezvous/1"] here`, "first accept both everywhere by a rolling restart, then drop the old one by another"}},
		{"cluster name", asIs, func(o *cluster.Options) { o.ClusterName = "payments" }, membership.ErrClusterName,
			[]string{"belongs to another cluster", "check the seed address, and ClusterName on both sides"}},
		{"wrong key", keys(oneKey), keys(otherKey), membership.ErrGossipKey, []string{"wrong or missing gossip key", "no usable key in common"}},
		{"missing key", keys(oneKey), keys(nil), membership.ErrGossipKey, []string{"this member has no key and the cluster is encrypted"}},
		{"superfluous key", keys(nil), keys(oneKey), membership.ErrGossipKey, []string{"the cluster is not encrypted and this member has a key"}},
	}
}

// check requires that the error of Start says what differs, in its fields and in its
// text.
func (r refusal) check(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, r.reason)
	if errors.Is(r.reason, membership.ErrConfiguration) {
		var differs *membership.ConfigurationError
		require.ErrorAs(t, err, &differs)
		require.Contains(t, []string{"n1", "n2"}, differs.NodeID)
	} else {
		var refused *membership.RefusedError
		require.ErrorAs(t, err, &refused)
		require.NotEmpty(t, refused.Seed)
		require.ErrorContains(t, err, fmt.Sprintf("joining through %q", refused.Seed))
	}
	for _, part := range r.says {
		require.ErrorContains(t, err, part)
	}
	for _, key := range slices.Concat(oneKey, otherKey) {
		require.NotContains(t, err.Error(), string(key))
	}
}

// untouched requires that the view of the members has not changed.
func untouched(t *testing.T, all []*cluster.Cluster, fingerprint fmt.Stringer) {
	t.Helper()
	for _, c := range all {
		require.Equal(t, fingerprint, c.Fingerprint())
		require.Len(t, c.Members(), 2)
		h := c.Health()
		require.True(t, h.Ready)
		require.Equal(t, []string{api.ProblemUnderReplicated}, problems(c), "two members of three replicas, as before")
	}
}

func TestRefusalsInMemory(t *testing.T) {
	for _, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				all := b.startMany(2, r.cluster)
				fingerprint := all[0].Fingerprint()
				joiner := b.make(3, r.cluster, r.joiner)
				begun := time.Now()
				r.check(t, joiner.Start(t.Context()))
				require.Less(t, time.Since(begun), time.Second, "an answer is an answer, no need to wait")
				b.free(3)
				require.Contains(t, problem(t, joiner, api.ProblemNotStarted).Message, r.says[0])
				require.ErrorIs(t, joiner.WaitReady(t.Context()), r.reason)
				time.Sleep(10 * time.Second)
				untouched(t, all, fingerprint)
				b.agree(append(all, b.start(3, r.cluster))...)
			})
		})
	}
}

// While one seed does not answer, a refusal by another seed does not end Start.
func TestRefusalWhileASeedIsSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		b.start(1, func(o *cluster.Options) { o.Seeds = nil })
		joiner := b.make(3, func(o *cluster.Options) { o.ClusterName = "payments" })
		begun := time.Now()
		require.ErrorIs(t, joiner.Start(t.Context()), membership.ErrClusterName)
		require.GreaterOrEqual(t, time.Since(begun), 5*time.Second)
	})
}

func TestRefusalsOverSockets(t *testing.T) {
	for i, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			seeds := []string{freeAddr(t, fmt.Sprintf("127.0.%d.1", i+1)), freeAddr(t, fmt.Sprintf("127.0.%d.2", i+1))}
			member := func(n int, edits ...edit) *cluster.Cluster {
				c, err := cluster.New(options(n, append([]edit{func(o *cluster.Options) {
					o.GossipAddr, o.Seeds, o.Gossip.Profile = fmt.Sprintf("127.0.%d.%d:0", i+1, n), seeds, membership.Local
					if n <= len(seeds) {
						o.GossipAddr, o.Seeds = seeds[n-1], seeds[:n-1]
					}
				}}, edits...)...))
				require.NoError(t, err)
				t.Cleanup(func() { stopped(t, c) })
				return c
			}
			var all []*cluster.Cluster
			for n := range 2 {
				all = append(all, member(n+1, r.cluster))
				require.NoError(t, all[n].Start(within(t, 20*time.Second)))
			}
			agreed(t, all)
			fingerprint := all[0].Fingerprint()
			r.check(t, member(3, r.cluster, r.joiner).Start(within(t, 20*time.Second)))
			untouched(t, all, fingerprint)
			right := member(4, r.cluster)
			require.NoError(t, right.Start(within(t, 20*time.Second)))
			agreed(t, append(all, right))
		})
	}
}

// freeAddr returns an address of this host that was free just now.
func freeAddr(t *testing.T, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// agreed waits, in real time, until the members are one cluster of one view.
func agreed(t *testing.T, all []*cluster.Cluster) {
	t.Helper()
	awaitWithin(t, 20*time.Second, "one view", func() bool {
		return !slices.ContainsFunc(all, func(c *cluster.Cluster) bool {
			return len(c.Members()) != len(all) || c.Fingerprint() != all[0].Fingerprint() || !c.Health().Agreed
		})
	})
}

// stopped stops a member that may not have started.
func stopped(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, c.Stop(ctx))
}
