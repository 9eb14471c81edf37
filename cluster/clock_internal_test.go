package cluster

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// The wait before a member begins alone is measured by the monotonic clock. A clock that is set while a member waits would
// let two members begin apart from each other, or let none begin. A test cannot set the clock, so it looks for the
// reading of the monotonic clock.
func TestTheWaitDoesNotDependOnTheClock(t *testing.T) {
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	o := Options{ClusterName: "orders", NodeID: "n1", GossipAddr: "10.0.0.1:7946", Logger: slog.New(slog.DiscardHandler)}
	o.Gossip.Network = network
	c, err := New(o)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	joined := *c.joined.Load()
	require.NoError(t, c.Stop(context.Background()))
	require.NotEqual(t, joined.Round(0).String(), joined.String(), "it has a reading of the monotonic clock")
}
