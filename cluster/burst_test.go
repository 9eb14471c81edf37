package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
)

// Members that crash together, and are noticed one after another, cause one change of the ring. Routers skip each of
// them as soon as its failure is known.
func TestABurstOfCrashesIsOneRing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *testNet) {
		const n, crashed = 16, 5
		all := b.startMany(n, func(o *cluster.Options) { o.Gossip.NoTethers = true }) // tethers show all of them at once
		b.await("every member owns", func() bool { return all[0].Ring().Len() == n })
		b.agree(all...)
		before, version := all[0].Ring(), all[0].Routing().View().Version
		events := all[0].Events(t.Context())
		for i := n; i > n-crashed; i-- {
			b.net.Kill(addrPort(i))
			_ = all[i-1].Stop(ended())
		}
		passedOver := 0
		for e := range events {
			if e.Kind == cluster.MemberFailed && all[0].Ring() == before {
				passedOver++
				synctest.Wait()
				require.Nil(t, all[0].Routing().View().Member(e.Member.ID), "a router must not choose it")
				_, listed := all[0].Member(e.Member.ID)
				require.True(t, listed, "the view is that of the ring")
			}
			if all[0].Ring().Len() == n-crashed {
				break
			}
		}
		time.Sleep(10 * time.Second) // virtual: no ring may follow
		require.NotZero(t, passedOver)
		require.LessOrEqual(t, all[0].Routing().View().Version-version, uint64(2))
		for _, c := range all[:n-crashed] {
			require.NoError(t, c.WaitConverged(within(t, patience)))
			require.Len(t, c.Members(), n-crashed)
		}
	})
}
