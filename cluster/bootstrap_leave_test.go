package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
)

// A member that leaves before the cluster begins holds no data. The members that stay do not wait for
// data of that member, report no possible loss, and begin once enough of them are there.
func TestAMemberLeavesBeforeTheClusterBegins(t *testing.T) {
	for _, how := range []string{"stops", "drains and stops", "drains and resumes"} {
		for _, observer := range []bool{false, true} {
			for _, journal := range []bool{false, true} {
				t.Run(fmt.Sprint(how, ", observer ", observer, ", journal ", journal), func(t *testing.T) {
					inBubble(t, func(t *testing.T, b *testNet) {
						sh := newShelf()
						three := func(o *cluster.Options) {
							if o.Bootstrap.MinMembers = 3; journal {
								o.Handoff.Journal = newBook()
							}
						}
						first, one := b.startStore(sh, 1, three)
						leaves, two := b.startStore(sh, 2, three, func(o *cluster.Options) { o.Observer = observer })
						b.await("they know each other", func() bool { return len(first.Members())*len(leaves.Members()) == 4 })
						if how != "stops" {
							begun := time.Now()
							require.NoError(t, leaves.Drain(within(t, patience)))
							require.Less(t, time.Since(begun), 5*time.Second)
						}
						require.Zero(t, first.Handoff().State(), "nothing moves")
						if how == "drains and resumes" {
							require.NoError(t, leaves.Resume(t.Context()))
						} else {
							require.NoError(t, leaves.Stop(within(t, patience)))
						}
						time.Sleep(10 * time.Second)
						require.Zero(t, first.Handoff().State(), "nothing moves")
						if observer || how != "drains and resumes" {
							require.NoError(t, leaves.Stop(within(t, patience)))
							leaves, two = b.startStore(sh, 2, three)
						}
						third, last := b.startStore(sh, 3, three)
						b.still(first, leaves, third)
						members := map[string]*cluster.Cluster{"n1": first, "n2": leaves, "n3": third}
						put(t, map[string]*store{"n1": one, "n2": two, "n3": last}, members, first, "k", 1)
						for _, c := range members {
							require.Empty(t, problems(c))
						}
					})
				})
			}
		}
	}
}

// A member that waits alone for others to begin drains at once: it has nothing to hand over.
func TestDrainBeforeTheClusterBegins(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c, _ := b.startStore(newShelf(), 1, func(o *cluster.Options) { o.Bootstrap.MinMembers = 3 })
		require.NoError(t, c.Drain(within(t, patience)))
		require.Zero(t, c.Handoff().State())
		require.Zero(t, c.Ring().Len())
	})
}

// Neither does a member whose Start is cut short count as one that has data.
func TestAStartIsCutShortBeforeTheClusterBegins(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		three := func(o *cluster.Options) { o.Bootstrap.MinMembers = 3 }
		first, _ := b.startStore(sh, 1, three)
		cut, seen := 0, 0
		for limit := time.Millisecond; limit < 12*time.Millisecond; limit += time.Millisecond / 2 {
			c, known := b.make(2, three, func(o *cluster.Options) { o.Handoff.Mover = sh.make() }), false
			events := first.Events(within(t, 10*time.Second))
			if c.Start(within(t, limit)) != nil {
				cut++
			} else {
				require.NoError(t, c.Stop(within(t, patience)))
			}
			for e := range events {
				known = known || e.Kind == cluster.MemberJoined
			}
			if known {
				seen++
			}
			require.Zero(t, first.Handoff().State(), "nothing moves after a start of %v", limit)
		}
		require.Positive(t, cut)
		require.Positive(t, seen)
		t.Log(cut, "starts were cut short, and", seen, "were seen")
	})
}
