package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/alarm"
	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// BenchmarkHandoffView measures the driver step of a view, under the lock of handoff. One of five members
// leaves a cluster of 65,536 partitions, and another member joins. No handoff ever completes. It reports
// the median.
func BenchmarkHandoffView(b *testing.B) {
	const partitions = 65536
	config := ring.Config{PartitionCount: partitions, ReplicationFactor: 3, WriteQuorum: 2, Strategy: rebalance.Rendezvous{}}
	c := &Cluster{loop: loop{advance: make(chan struct{}, 1)}}
	d := &driver{
		c: c, gates: make([]gate, partitions), report: progress{since: time.Now()}, options: HandoffOptions{OverdueAfter: time.Hour, RetryAfter: time.Hour},
		machine: handoff.New(handoff.Config{Self: handoff.Process{ID: "n0", Start: 1}, Partitions: partitions, Parallel: 1}),
		clock:   alarm.NewClock[handoff.Timer](func() {}),
	}
	var r *ring.Ring
	started := make(map[string]uint64)
	see := func(ids []string) time.Duration {
		starts := make(map[string]uint64)
		var nodes []ring.Node
		for _, id := range ids {
			if started[id] == 0 {
				started[id] = uint64(len(started) + 1)
			}
			starts[id] = started[id]
			nodes = append(nodes, ring.Node{ID: id, Weight: 1, Start: started[id]})
		}
		before := r
		var err error
		if r, err = ring.Rebuild(r, config, nodes); err != nil {
			b.Fatal(err)
		}
		next := handoff.View{Ring: r, Starts: starts}.Compared(before)
		begun := time.Now()
		d.drive(next)
		return time.Since(begun)
	}
	d.drive(handoff.Founding{})
	ids := []string{"n0", "n1", "n2", "n3", "n4"}
	see(ids)
	var took []time.Duration
	for n := 5; b.Loop(); n++ {
		ids = slices.Delete(ids, 1, 2)
		took = append(took, see(ids))
		ids = append(ids, fmt.Sprint("n", n))
		took = append(took, see(ids))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-locked")
	b.ReportMetric(0, "ns/op")
}
