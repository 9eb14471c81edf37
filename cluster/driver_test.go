package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// A process that has released everything has drained, also when not every owner has confirmed the
// departure.
func TestDrainWhenNotAllCanBeTold(t *testing.T) {
	var m *handoff.Machine
	c := &Cluster{}
	c.view.Store(&published{})
	begin := func() {
		m = handoff.New(handoff.Config{Self: handoff.Process{ID: "a", Start: 1}, Partitions: 2, Parallel: 1})
		c.handoff = &driver{c: c, machine: m}
	}
	leaving := func(self string, others ...string) {
		r, err := ring.Build(ring.Config{PartitionCount: 2, ReplicationFactor: 1, WriteQuorum: 1, Strategy: rebalance.Rendezvous{}}, []ring.Node{{ID: self, Start: 1}})
		require.NoError(t, err)
		starts := map[string]uint64{"a": 1}
		for _, id := range append(others, self) {
			starts[id] = 1
		}
		m.Step(handoff.View{Ring: r, Starts: starts, Leaving: true})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	begin()
	leaving("b")
	require.False(t, m.Summary().Bare, "b has not been told")
	require.NoError(t, c.drained(ended, membership.Leaving, time.Minute))

	begin()
	leaving("a", "b")
	var left *NotHandedOverError
	require.ErrorAs(t, c.drained(ended, membership.Leaving, time.Minute), &left)
	require.Equal(t, 2, left.Held)
}
