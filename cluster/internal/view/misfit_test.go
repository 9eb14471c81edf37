package view

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

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
	require.EqualError(t, misfit(build(conditional{fits: func(ring.Topology) error { panic("at once") }})), "method Fits panics: at once")
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
	require.EqualError(t, yields(build(yielding{yields: func(ring.Topology) error { panic("at once") }})), "method Yields panics: at once")
}
