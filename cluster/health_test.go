package cluster_test

import (
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

func TestHealthOfALoneMember(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.start(1, func(o *cluster.Options) { o.Seeds = nil })
		h := c.Health()
		require.Equal(t, "n1", h.NodeID)
		require.Equal(t, "active", h.State)
		require.True(t, h.Ready)
		require.False(t, h.Healthy)
		require.True(t, h.Agreed)
		require.Empty(t, h.Differing)
		require.Equal(t, 1, h.Members)
		require.Equal(t, 64, h.UnderReplicated)
		require.Equal(t, "rf3:balanced/3", h.Configuration)
		require.Equal(t, c.Fingerprint(), h.Fingerprint)
		require.Zero(t, h.LastSync)
		require.Equal(t, []api.Problem{{Code: api.ProblemUnderReplicated,
			Message: "64 partitions have 1 of 3 replicas: there are too few members"}}, h.Problems)
		require.NoError(t, c.WaitReady(t.Context()))
		require.NoError(t, c.WaitConverged(t.Context()))
	})
}

func TestHealthOfACluster(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		for _, c := range b.startMany(3) {
			h := c.Health()
			require.True(t, h.Ready)
			require.True(t, h.Healthy, "%+v", h)
			require.True(t, h.Agreed)
			require.Equal(t, 3, h.Members)
			require.Zero(t, h.UnderReplicated)
			require.Equal(t, 3, c.Ring().Spread().Zones)
			require.WithinDuration(t, time.Now(), h.LastSync, time.Minute)
		}
	})
}

// A member that is cut off reports it, and does not make the others unready.
func TestAMemberThatIsCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(5)
		b.net.Isolate(addrPort(5))
		require.NoError(t, all[0].WaitReady(t.Context()))
		b.await("the isolated one notices", func() bool { return !all[4].Health().Ready || len(all[4].Members()) == 1 })
		if len(all[4].Members()) > 1 {
			require.Contains(t, problem(t, all[4], api.ProblemIsolated).Message, "do not answer: this one seems to be cut off")
			err := all[4].WaitReady(within(t, 10*time.Millisecond))
			require.ErrorContains(t, err, "cluster: not ready: context deadline exceeded: most of 4 members do not answer")
		}
		require.True(t, all[0].Health().Ready)
		b.net.Heal()
		b.agree(all...)
		for _, c := range all {
			require.NoError(t, c.WaitReady(within(t, patience)))
			b.await("all is well", func() bool { return c.Health().Healthy })
		}
	})
}

func TestHealthOfBadlySpreadZones(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		inOneZone := func(o *cluster.Options) { o.Strategy = firstNodes{} }
		all := b.startMany(4, inOneZone, func(o *cluster.Options) { o.ReplicationFactor = 2 })
		require.Empty(t, problems(all[0]), "n1 and n2 stand in two zones")
		other := b.start(5, inOneZone, func(o *cluster.Options) {
			o.NodeID, o.Zone, o.ReplicationFactor = "n0", "z1", 2
		})
		b.agree(append(all, other)...)
		require.Equal(t, "64 partitions span fewer zones than they could: the strategy does not spread them",
			problem(t, all[0], api.ProblemZones).Message)
		require.True(t, all[0].Health().Ready)
	})
}

// The only member of a zone would own every partition, more than twice its fair share of 24.
func TestHealthOfAZoneThatYields(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(8, func(o *cluster.Options) {
			if o.NodeID == "n6" {
				o.Zone = "z1"
			}
		})
		p := problem(t, all[0], api.ProblemZones)
		require.Equal(t, "16 partitions span fewer zones than they could: members would carry more than 2000 thousandths "+
			`of their fair share in zone "z0" of region "eu": add members there, or raise Overload`, p.Message)
		require.False(t, p.Unready)
		require.Equal(t, 16, all[0].Health().ZoneViolations)
	})
}

// The only member of a region would own every partition, more than twice its fair share of 27. All
// rows span three of seven zones.
func TestHealthOfARegionThatYields(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(7, func(o *cluster.Options) {
			i := int(o.NodeID[1] - '1')
			o.Region, o.Zone = fmt.Sprint("r", i/3), fmt.Sprint("z", i%3)
		})
		p := problem(t, all[0], api.ProblemZones)
		require.Equal(t, "10 partitions span fewer regions than they could: members would carry more than 2000 thousandths "+
			`of their fair share in region "r2", zone "z0" of region "r2": add members there, or raise Overload`, p.Message)
		require.False(t, p.Unready)
		require.Zero(t, all[0].Health().ZoneViolations)
	})
}

// While a member is in a fourth zone, the strategy for three zones says that it places
// otherwise, once in the log.
func TestMembersThatDoNotFit(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var log logLines
		ordinal := func(o *cluster.Options) { o.Strategy = rebalance.Ordinal{Prefix: "n", Zones: 3} }
		all := b.startMany(3, log.keep, ordinal)
		require.Empty(t, problems(all[0]))
		stranger := b.start(4, ordinal, func(o *cluster.Options) { o.Zone = "elsewhere" })
		b.agree(append(all, stranger)...)
		p := problem(t, all[0], api.ProblemMisfit)
		require.Equal(t, "the members do not meet the conditions of rf3:ordinal/2:n:zones=3: placed as Balanced places: "+
			"the members are in 4 zones: set Zones, which is 3", p.Message)
		require.False(t, p.Unready)
		require.True(t, all[0].Metrics().Problems[api.ProblemMisfit])
		require.Len(t, log.with("a problem appeared", "problem=misfit"), 3, "one line of each member")
		require.NoError(t, stranger.Stop(t.Context()))
		b.await("the members fit again", func() bool { return all[0].Health().Healthy })
	})
}

// firstNodes is a strategy that gives all partitions to the first members.
type firstNodes struct{}

func (firstNodes) Name() string { return "first-nodes/1" }

func (firstNodes) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range t.Replicas {
			table.Row(p)[i] = uint16(i)
		}
	}
	return nil
}

func TestWaitReadyBeforeStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.make(1)
		ready := make(chan error, 1)
		go func() { ready <- c.WaitReady(t.Context()) }()
		time.Sleep(time.Second)
		require.NoError(t, c.Start(t.Context()))
		require.NoError(t, <-ready)

		failed := b.make(2, func(o *cluster.Options) { o.ClusterName = "payments" })
		go func() { ready <- failed.WaitReady(t.Context()) }()
		require.Error(t, failed.Start(t.Context()))
		var unready *cluster.NotReadyError
		require.ErrorAs(t, <-ready, &unready)
		require.ErrorIs(t, unready, membership.ErrClusterName)
		require.Equal(t, api.ProblemNotStarted, unready.Problems[0].Code)

		stopped := b.make(3)
		go func() { ready <- stopped.WaitReady(t.Context()) }()
		time.Sleep(time.Second)
		require.NoError(t, stopped.Stop(t.Context()))
		require.ErrorIs(t, <-ready, cluster.ErrStopped)
	})
}
