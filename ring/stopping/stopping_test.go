package stopping_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/stopping"
)

func TestStrategy(t *testing.T) {
	nodes := make([]ring.Node, 40)
	for i := range nodes {
		nodes[i].ID = string(rune('A' + i))
	}
	for _, s := range []ring.RebalanceStrategy{rebalance.Rendezvous{}, rebalance.Balanced{}} {
		var over atomic.Bool
		plain := ring.Config{PartitionCount: 1024, ReplicationFactor: 3, Strategy: s}
		config := plain
		config.Strategy = stopping.Strategy{RebalanceStrategy: s, Stop: over.Load}
		before, err := ring.Build(plain, nodes[1:])
		require.NoError(t, err)
		want, err := ring.Build(plain, nodes)
		require.NoError(t, err)
		got, err := ring.Rebuild(before, config, nodes)
		require.NoError(t, err)
		require.Equal(t, want.Fingerprint(), got.Fingerprint(), "built, or derived from the ring before")

		over.Store(true)
		_, err = ring.Rebuild(before, config, nodes)
		require.ErrorContains(t, err, "the table is no longer needed")
	}
}
