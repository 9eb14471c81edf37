package cluster

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/alarm"
	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// BenchmarkHandoffView measures the driver step of a view, under the lock of handoff. One of five members
// leaves a cluster of 65,536 partitions, and another member joins. It reports the median: where each handoff
// is complete before the next view comes, and where none ever completes.
func BenchmarkHandoffView(b *testing.B) {
	for _, complete := range []bool{true, false} {
		b.Run(fmt.Sprint("complete=", complete), func(b *testing.B) {
			c := newBenchCluster()
			c.see(b, "n0", "n1", "n2", "n3", "n4")
			ids := []string{"n0", "n1", "n2", "n3", "n4"}
			var took []time.Duration
			for n := 5; b.Loop(); n++ {
				left := slices.Delete(slices.Clone(ids), 1, 2)
				ids = append(slices.Clone(left), fmt.Sprint("n", n))
				for _, next := range [][]string{left, ids} {
					took = append(took, c.see(b, next...))
					if complete {
						c.settle(b)
					}
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-locked")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchCluster is a driver whose view steps are measured, and the machines of the other members. Messages
// and jobs between them take no time.
type benchCluster struct {
	ring     *ring.Ring
	driver   *driver
	machines map[handoff.Process]*handoff.Machine
	starts   map[string]uint64
	mail     []benchMail
	batches  []benchTimer        // timers of batches
	others   map[benchTimer]bool // timers that matter only when nothing else goes on
}

type benchMail struct {
	from handoff.Process
	handoff.Send
}

type benchTimer struct {
	of handoff.Process
	handoff.Timer
}

const benchPartitions = 65536

func newBenchMachine(p handoff.Process) *handoff.Machine {
	return handoff.New(handoff.Config{Self: p, Partitions: benchPartitions, Parallel: 1})
}

func newBenchCluster() *benchCluster {
	d := &driver{
		c: &Cluster{loop: loop{advance: make(chan struct{}, 1)}}, gates: make([]gate, benchPartitions), report: progress{since: time.Now()},
		options: HandoffOptions{OverdueAfter: time.Hour, RetryAfter: time.Hour}, clock: alarm.NewClock[handoff.Timer](func() {}),
	}
	return &benchCluster{driver: d, machines: make(map[handoff.Process]*handoff.Machine), starts: make(map[string]uint64), others: make(map[benchTimer]bool)}
}

// see shows all members a view, and returns how long the driver took for it.
func (c *benchCluster) see(b *testing.B, ids ...string) (took time.Duration) {
	config := ring.Config{PartitionCount: benchPartitions, ReplicationFactor: 3, WriteQuorum: 2, Strategy: rebalance.Rendezvous{}}
	before, starts := c.ring, make(map[string]uint64)
	var nodes []ring.Node
	for _, id := range ids {
		if c.starts[id] == 0 {
			c.starts[id] = uint64(len(c.starts) + 1)
		}
		p := handoff.Process{ID: id, Start: c.starts[id]}
		if starts[id] = p.Start; c.machines[p] == nil {
			c.machines[p] = newBenchMachine(p)
			if before == nil {
				c.machines[p].Step(handoff.Founding{})
			}
		}
		nodes = append(nodes, ring.Node{ID: id, Weight: 1, Start: p.Start})
	}
	maps.DeleteFunc(c.machines, func(p handoff.Process, _ *handoff.Machine) bool { return starts[p.ID] != p.Start })
	var err error
	if c.ring, err = ring.Rebuild(before, config, nodes); err != nil {
		b.Fatal(err)
	}
	next := handoff.View{Ring: c.ring, Starts: starts}
	for p, m := range c.machines {
		if p.ID != "n0" {
			c.carry(p, m.Step(next))
			continue
		}
		c.driver.machine = m
		next := next.Compared(before)
		begun := time.Now()
		c.driver.drive(next)
		took = time.Since(begun)
		for _, t := range c.driver.clock.Due(time.Now().Add(1000 * time.Hour)) {
			c.arm(benchTimer{p, t})
		}
	}
	return took
}

// carry carries out the effects of a machine, except for what must wait for other members.
func (c *benchCluster) carry(p handoff.Process, e handoff.Effects) {
	for more := []handoff.Effects{e}; len(more) > 0; more = more[1:] {
		var drained []int
		for _, f := range more[0].Fences {
			drained = append(drained, f.Partition)
		}
		if len(drained) > 0 {
			more = append(more, c.machines[p].Step(handoff.Drained{Partitions: drained}))
		}
		for _, s := range more[0].Send {
			c.mail = append(c.mail, benchMail{p, s})
		}
		for _, j := range more[0].Start {
			more = append(more, c.machines[p].Step(handoff.Ended{Partition: j.Partition, ID: j.ID}))
		}
		for _, arm := range more[0].Arm {
			c.arm(benchTimer{p, arm.Timer})
		}
	}
}

func (c *benchCluster) arm(t benchTimer) {
	if t.Kind == handoff.Batch {
		c.batches = append(c.batches, t)
	} else {
		c.others[t] = true
	}
}

// settle goes on until no member has anything to do.
func (c *benchCluster) settle(b *testing.B) {
	for rounds := 0; ; rounds++ {
		for len(c.mail)+len(c.batches) > 0 {
			mail, batches := c.mail, c.batches
			if c.mail = nil; len(mail) == 0 {
				c.batches = nil
				c.fire(batches)
			}
			for _, m := range mail {
				if to := c.machines[m.To]; to != nil {
					c.carry(m.To, to.Step(handoff.Received{From: m.from, Message: m.Message}))
				}
			}
		}
		joined := true
		for _, m := range c.machines {
			joined = joined && m.Summary().Joined
		}
		if joined {
			return
		}
		if rounds > 10 {
			b.Fatal("the handoff does not end")
		}
		others := slices.Collect(maps.Keys(c.others))
		clear(c.others)
		c.fire(others)
	}
}

func (c *benchCluster) fire(timers []benchTimer) {
	for _, t := range timers {
		if m := c.machines[t.of]; m != nil {
			c.carry(t.of, m.Step(handoff.Due{Timers: []handoff.Timer{t.Timer}}))
		}
	}
}
