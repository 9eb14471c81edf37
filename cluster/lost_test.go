package cluster_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// heap returns the bytes that are in use.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Many members with unique names come and crash. A day later no alert is on, few addresses are dialled, and
// memory is in use as before.
func TestADayAfterManyMembers(t *testing.T) {
	long(t)
	many, stay, later, limit := 20, 2, 7*time.Hour, uint64(50) // dials in an hour; the limit falls for a day
	if os.Getenv("CLUSTERKIT_SIM_FULL") != "" {
		many, stay, later, limit = 1000, 3, 24*time.Hour, 10
	}
	const atOnce = 20
	wan := func(o *cluster.Options) { o.Gossip.Profile = membership.WAN } // fewer packets in a day
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(stay, wan)
		before := heap()
		for i := 0; i < many; i += atOnce {
			var gone []*cluster.Cluster
			for j := i; j < i+atOnce; j++ {
				o := options(1, wan)
				o.NodeID, o.GossipAddr = fmt.Sprint("pod-", j), fmt.Sprintf("10.1.%d.%d:7946", j/200, j%200+1)
				o.Gossip.Network = b.net
				c, err := cluster.New(o)
				require.NoError(t, err)
				require.NoError(t, c.Start(t.Context()))
				gone = append(gone, c)
			}
			for _, c := range gone {
				b.net.Crash(c.Local().Addr)
				require.Error(t, c.Stop(ended()))
			}
			awaitWithin(t, 10*time.Minute, "they are lost", func() bool { return len(all[0].Members()) == stay })
		}
		b.agree(all...)
		for _, c := range all {
			require.InDelta(t, many, c.Metrics().Gossip.Lost, float64(many)/10, "a few were not seen by all")
			require.Positive(t, c.Metrics().Gossip.LostLately)
		}
		time.Sleep(later)
		dials := b.net.Stats().DialsFailed.Total()
		time.Sleep(time.Hour)
		require.Less(t, b.net.Stats().DialsFailed.Total()-dials, limit*uint64(stay), "dials of all")
		for _, c := range all {
			require.Zero(t, c.Metrics().Gossip.LostLately)
			require.Equal(t, c.Metrics().Problems["under-replicated"], !c.Health().Healthy)
		}
		require.Less(t, heap(), before+8<<20)
	})
}
