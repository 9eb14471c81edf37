package cluster_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// Start and Stop end although a Discovery never returns.
func TestADiscoveryThatNeverReturns(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		hung := make(chan struct{})
		defer close(hung)
		hangs := func(o *cluster.Options) {
			o.Seeds, o.Discovery = nil, membership.DiscoveryFunc(func(context.Context) ([]string, error) { <-hung; return nil, nil })
		}
		one := b.make(1, hangs)
		begun := time.Now()
		require.ErrorIs(t, one.Start(within(t, time.Second)), context.DeadlineExceeded)
		require.Less(t, time.Since(begun), 5*time.Second)
		b.free(1)
		two := b.start(2, hangs)
		b.await("health names it", func() bool { return slices.Contains(problems(two), "discovery") })
		require.Contains(t, problem(t, two, "discovery").Message, "has not returned")
		begun = time.Now()
		require.NoError(t, two.Stop(context.Background()))
		require.Less(t, time.Since(begun), 5*time.Second)
		b.free(2)
	})
}
