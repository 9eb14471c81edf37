package cluster_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
)

// Without data to copy, the members of a cluster of many partitions are ready within
// seconds, and a message covers many partitions.
func TestHandoffOfManyPartitions(t *testing.T) {
	t.Parallel()
	members, partitions := 10, 1024
	switch {
	case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
		partitions = 4096
	case testing.Short():
		members, partitions = 5, 256
	}
	inBubble(t, func(t *testing.T, b *testNet) {
		many := func(o *cluster.Options) { o.PartitionCount, o.Handoff.Parallel = partitions, 64 }
		sh := newShelf()
		var all []*cluster.Cluster
		for i := 1; i < members; i++ {
			c, _ := b.startStore(sh, i, many)
			all = append(all, c)
		}
		b.still(all...)
		messages := func() (sent, moved uint64) {
			for _, c := range all {
				h := c.Handoff().State()
				sent, moved = sent+h.Messages, moved+h.Received+h.Released
			}
			return sent, moved
		}
		began := time.Now()
		sent, moved := messages()
		last, _ := b.startStore(sh, members, many)
		all = append(all, last)
		b.still(all...)
		joined := time.Since(began)
		after, done := messages()
		t.Logf("%d partitions: the %dth member joined in %v, with %d messages for %d calls, %.3f a call",
			partitions, members, joined, after-sent, done-moved, float64(after-sent)/float64(done-moved))
		require.Less(t, joined, 30*time.Second)
		require.Less(t, float64(after-sent)/float64(done-moved), 0.5)

		began = time.Now()
		require.NoError(t, last.Drain(within(t, patience)))
		t.Logf("and drained in %v", time.Since(began))
		require.Less(t, time.Since(began), 30*time.Second)
	})
}
