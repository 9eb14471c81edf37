package view

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// conditional is a strategy with a method Fits of the test's.
type conditional struct {
	rebalance.RoundRobin
	fits func(ring.Topology) error
}

func (c conditional) Fits(t ring.Topology) error { return c.fits(t) }

// The strategy is asked about the nodes of the ring, and may panic.
func TestMisfit(t *testing.T) {
	build := func(s ring.RebalanceStrategy) *ring.Ring {
		r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: 3, Strategy: s}, []ring.Node{{ID: "a"}, {ID: "b"}})
		require.NoError(t, err)
		return r
	}
	require.NoError(t, misfit(build(rebalance.RoundRobin{})))
	require.NoError(t, misfit(&ring.Ring{}))
	require.EqualError(t, misfit(build(conditional{fits: func(t ring.Topology) error {
		if len(t.Nodes) != 2 || t.PartitionCount != 8 || t.Replicas != 2 {
			return errors.New("another topology")
		}
		return errors.New("too few")
	}})), "too few")
	require.EqualError(t, misfit(build(conditional{fits: func(ring.Topology) error { panic("at once") }})), "method Fits: panic: at once")
}

// exiting is a strategy that ends its goroutine, as a failed assertion in a test's strategy does.
type exiting struct{ rebalance.RoundRobin }

func (exiting) Assign(ring.Topology, ring.Table) error { runtime.Goexit(); return nil }

// A method of the strategy that ends its goroutine does not end that of the cluster.
func TestStrategiesThatExit(t *testing.T) {
	r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: 1, Strategy: conditional{fits: func(ring.Topology) error { runtime.Goexit(); return nil }}}, []ring.Node{{ID: "a"}})
	require.NoError(t, err)
	require.EqualError(t, misfit(r), "method Fits: the call ended its goroutine with runtime.Goexit: it must return")

	config := Configuration{Config: ring.Config{PartitionCount: 8, ReplicationFactor: 3, Strategy: exiting{}}}
	b := &Builder{Configurations: map[string]Configuration{config.Name(): config}}
	v := b.Derive(testMembers(3, func(_ int, m *membership.Member) { m.Configurations = []string{config.Name()} }), Empty())
	require.EqualError(t, v.Failure, `the strategy of "rf3:round-robin/1": the call ended its goroutine with runtime.Goexit: it must return`)
	require.Zero(t, v.Ring.Len())
}

// yielding is a strategy with a method Yields of the test's.
type yielding struct {
	rebalance.RoundRobin
	yields func(ring.Topology) error
}

func (y yielding) Yields(t ring.Topology) error { return y.yields(t) }

func TestYields(t *testing.T) {
	build := func(s ring.RebalanceStrategy) *ring.Ring {
		r, err := ring.Build(ring.Config{PartitionCount: 8, ReplicationFactor: 3, Strategy: s}, []ring.Node{{ID: "a"}, {ID: "b"}})
		require.NoError(t, err)
		return r
	}
	require.NoError(t, yields(build(rebalance.RoundRobin{})))
	require.EqualError(t, yields(build(yielding{yields: func(ring.Topology) error { return errors.New("too few") }})), "too few")
	require.EqualError(t, yields(build(yielding{yields: func(ring.Topology) error { panic("at once") }})), "method Yields: panic: at once")
}
