package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// The gossip key of a running cluster is replaced step by step, and no
// member notices.
func TestRotationOfGossipKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		older, newer := oneKey[0], otherKey[0]
		with := func(keys ...[]byte) edit { return func(o *cluster.Options) { o.Gossip.Keys = keys } }
		all := b.startMany(3, with(older))
		story := follow(all[0].Events(t.Context()))
		fingerprint := all[0].Fingerprint()
		everywhere := func(step func(*cluster.Cluster) error) {
			for _, c := range all {
				require.NoError(t, step(c))
				time.Sleep(15 * time.Second)
			}
			for _, c := range all {
				require.Len(t, c.Members(), 3)
				require.Equal(t, fingerprint, c.Fingerprint())
				require.True(t, c.Health().Healthy)
			}
		}
		refused := func(why string, keys ...[]byte) {
			err := b.make(9, with(keys...)).Start(t.Context())
			require.ErrorIs(t, err, membership.ErrGossipKey, why)
		}
		joins := func(why string, keys ...[]byte) {
			c := b.make(8, with(keys...))
			require.NoError(t, c.Start(t.Context()), why)
			b.agree(append([]*cluster.Cluster{c}, all...)...)
			require.NoError(t, c.Stop(within(t, patience)))
			b.agree(all...)
		}

		refused("no member knows the new key", newer)
		everywhere(func(c *cluster.Cluster) error { return c.Keys().Install(newer) })
		joins("the old one is in use", older)
		refused("who has the new key alone cannot read", newer)
		everywhere(func(c *cluster.Cluster) error { return c.Keys().Use(newer) })
		joins("the new one is in use", newer)
		everywhere(func(c *cluster.Cluster) error { return c.Keys().Remove(older) })
		refused("the old key is gone", older)
		joins("the new one is all there is", newer)

		require.NoError(t, all[0].Stop(within(t, patience)))
		for _, e := range <-story {
			// No event about n2 or n3 may say that it was gone. Events about n9 are
			// expected.
			if e.Member != nil && (e.Member.ID == "n2" || e.Member.ID == "n3") {
				require.Fail(t, "a member flapped", "%v %+v", e.Kind, e.Member)
			}
		}
	})
}

func TestGossipKeysThatCannotBe(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		older, newer := oneKey[0], otherKey[0]
		c := b.start(1, func(o *cluster.Options) { o.Gossip.Keys = [][]byte{older} })
		const size = "membership: installing a gossip key: "
		for _, n := range []int{0, 15, 17, 33} {
			require.ErrorContains(t, c.Keys().Install(make([]byte, n)), size)
		}
		err := c.Keys().Use(newer)
		require.ErrorContains(t, err, "membership: using a gossip key: ")
		require.NotContains(t, err.Error(), string(newer))
		err = c.Keys().Remove(older)
		require.ErrorContains(t, err, "membership: removing a gossip key: ")
		require.NotContains(t, err.Error(), string(older))
		require.NoError(t, c.Keys().Remove(newer), "it is not there")
		require.NoError(t, c.Keys().Install(newer))
		require.NoError(t, c.Keys().Install(newer))

		plain := b.start(2, func(o *cluster.Options) { o.Seeds = nil })
		for _, f := range []func([]byte) error{plain.Keys().Install, plain.Keys().Use, plain.Keys().Remove} {
			require.ErrorIs(t, f(newer), membership.ErrNoEncryption)
		}
	})
}

// A rotation that was left half done: three members have the new key alone, and three the old one.
// Each of the six names the three that it lost, and the cause, in its health and once in its log.
func TestAKeyRotationThatIsHalfDone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		older, newer := oneKey[0], otherKey[0]
		var all []*cluster.Cluster
		lines := make([]logLines, 6)
		for i := range lines {
			all = append(all, b.start(i+1, lines[i].keep, func(o *cluster.Options) {
				o.Gossip.Keys, o.Seeds = [][]byte{older}, []string{gossipAddr(1)}
			}))
		}
		b.agree(all...)
		for _, c := range all[3:] {
			require.NoError(t, c.Keys().Install(newer))
			require.NoError(t, c.Keys().Use(newer))
			require.NoError(t, c.Keys().Remove(older))
		}
		time.Sleep(15 * time.Second)
		for i, c := range all {
			p := problem(t, c, "refused")
			for j := range 3 {
				other := (i/3*3+3)%6 + j + 1
				require.Contains(t, p.Message, fmt.Sprintf("n%d at %s: wrong or missing gossip key: no usable key in common", other, gossipAddr(other)))
				require.Len(t, lines[i].with("level=WARN", "problem=refused", fmt.Sprintf("subject=n%d ", other)), 1, "%s", lines[i].text.String())
			}
			require.Contains(t, p.Message, "give both sides a key in common, with Gossip.Keys or Cluster.Keys")
			require.True(t, c.Metrics().Problems["refused"])
		}
		for _, c := range all[:3] {
			require.NoError(t, c.Keys().Install(newer))
			require.NoError(t, c.Keys().Use(newer))
		}
		b.agree(all...)
		b.await("all is well", func() bool {
			return !slices.ContainsFunc(all, func(c *cluster.Cluster) bool { return !c.Health().Healthy })
		})
	})
}
