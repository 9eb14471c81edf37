package cluster_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

const zoneProblem = "zone-lost"

// zoned puts a member into one of three zones, with a ZoneGrace.
func zoned(i int, grace time.Duration) edit {
	return func(o *cluster.Options) { o.Zone, o.ZoneGrace = fmt.Sprint("zone-", i%3), grace }
}

// zonedFleet starts six members, two in each of three zones. A grace of 0 is that of docs/operations.md.
func zonedFleet(t *testing.T, b *testNet, journal bool, grace time.Duration) *fleet {
	each := func(o *cluster.Options) {
		var i int
		_, err := fmt.Sscanf(o.NodeID, "n%d", &i)
		require.NoError(t, err)
		zoned(i, 0)(o)
		documented{}.waitsForZones(o)
		if grace > 0 {
			o.ZoneGrace = grace
		}
		o.Bootstrap.ExpectedMembers = 6
	}
	return newFleet(t, b, 6, journal, each)
}

// loseZone crashes both members of a zone, and waits until the others say that it is lost.
func (f *fleet) loseZone() {
	f.crash(3)
	f.crash(6)
	f.awaitBusy("all say that the zone is lost", func() bool {
		for _, m := range f.members {
			if !slices.Contains(problems(m), zoneProblem) {
				return false
			}
		}
		return true
	})
}

// A zone of two members loses its power, and is back within its grace: no partition changes owners,
// every write is acknowledged, and each member that is back receives what it missed.
func TestAZoneIsLostAndComesBack(t *testing.T) {
	for _, journal := range []bool{true, false} {
		t.Run(fmt.Sprint("journal ", journal), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				f := zonedFleet(t, b, journal, 0)
				before := f.members["n1"].Ring().Fingerprint()
				f.loseZone()
				for id, m := range f.members {
					require.Equal(t, before, m.Ring().Fingerprint(), id)
					require.True(t, m.Health().Ready)
					p := problem(t, m, zoneProblem)
					require.Contains(t, p.Message, `2 members keep their partitions and do not answer`)
					require.Contains(t, p.Message, `zone "zone-0"`)
					require.True(t, p.Critical)
					require.True(t, m.Metrics().Problems[zoneProblem])
					require.NotContains(t, problems(m), awayProblem, "one cause is one problem")
					require.Contains(t, problems(m), api.ProblemExpectedMembers, "the members of the zone are not here")
					require.Len(t, m.Members(), 6)
				}
				require.NoError(t, f.busy(func() error { time.Sleep(time.Minute); return nil }))
				require.Empty(t, f.refused, "two of three owners answer")
				require.Empty(t, f.copies(), "nothing moved")
				for _, i := range []int{3, 6} {
					c := f.begin(i, zoned(i, 10*time.Minute))
					require.Equal(t, membership.Active, c.Local().State, "it owns when Start returns")
				}
				f.calm()
				for id, m := range f.members {
					require.Equal(t, before, m.Ring().Fingerprint(), id)
					require.NotContains(t, problems(m), zoneProblem)
					require.Empty(t, m.Handoff().State().Lost, id)
				}
				if journal { // without journals the token names another start, and requests wait until it is known
					require.Empty(t, f.copies())
					require.Empty(t, f.refused)
				}
				require.Empty(t, f.behind)
			})
		})
	}
}

// A zone that does not come back is replaced once its grace is over.
func TestAZoneThatStaysAwayIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		const grace, detection = 30 * time.Second, 15 * time.Second
		f := zonedFleet(t, b, true, grace)
		begun := time.Now()
		f.loseZone()
		f.awaitBusy("the zone is replaced", func() bool {
			_, owns := f.members["n1"].Ring().Node("n3")
			return !owns
		})
		require.GreaterOrEqual(t, time.Since(begun), grace)
		require.LessOrEqual(t, time.Since(begun), grace+detection)
		f.calm()
		f.check()
		for id, m := range f.members {
			require.Empty(t, m.Handoff().State().Lost, id)
			require.NotContains(t, problems(m), zoneProblem)
		}
		require.Empty(t, f.behind)
	})
}

// The network of a zone is cut. Both sides have the ring that they had before, and keep it when the cut
// is over. No member steps back. Where the failures are found more than four seconds apart, a side has
// another ring for a moment.
func TestAZoneIsCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var all []*cluster.Cluster
		for i := 1; i <= 6; i++ {
			all = append(all, b.start(i, zoned(i, 10*time.Minute), func(o *cluster.Options) { o.Bootstrap.ExpectedMembers = 6 }))
		}
		b.agree(all...)
		before := all[0].Ring().Fingerprint()
		addrs := func(of ...int) (addrs []netip.AddrPort) {
			for _, i := range of {
				addrs = append(addrs, addrPort(i))
			}
			return addrs
		}
		require.NoError(t, b.net.Partition(addrs(1, 2, 4, 5), addrs(3, 6)))
		b.await("each side misses the other", func() bool {
			return !slices.ContainsFunc(all, func(c *cluster.Cluster) bool { return !slices.Contains(problems(c), zoneProblem) })
		})
		b.await("the zone knows that it is the smaller side", func() bool {
			return slices.Contains(problems(all[2]), api.ProblemMinority) && slices.Contains(problems(all[5]), api.ProblemMinority)
		})
		time.Sleep(2 * time.Minute)
		var changes []uint64
		for i, c := range all {
			require.Equal(t, before, c.Ring().Fingerprint(), i)
			changes = append(changes, c.Metrics().RingChanges)
		}
		b.net.Heal()
		b.await("the zone is back", func() bool {
			return !slices.ContainsFunc(all, func(c *cluster.Cluster) bool { return len(problems(c)) > 0 || !c.Health().Agreed })
		})
		for i, c := range all {
			require.Equal(t, before, c.Ring().Fingerprint(), i)
			require.Equal(t, changes[i], c.Metrics().RingChanges, "the return of the zone has changed the ring of n%d", i+1)
		}
	})
}

// The members of a zone are found dead one after another. No member of another zone has another ring
// meanwhile.
func TestTheLossOfAZoneMakesNoRing(t *testing.T) {
	for _, cut := range []bool{true, false} {
		t.Run(map[bool]string{true: "network", false: "power"}[cut], func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				var stay []*cluster.Cluster
				var here, there []netip.AddrPort
				all := b.startMany(15, func(o *cluster.Options) { o.ZoneGrace = 10 * time.Minute })
				for i, c := range all {
					if c.Local().Zone == "z0" {
						there = append(there, addrPort(i+1))
					} else {
						here, stay = append(here, addrPort(i+1)), append(stay, c)
					}
				}
				require.Len(t, stay, 10)
				before := make(map[*cluster.Cluster]uint64)
				for _, c := range stay {
					before[c] = c.Metrics().RingChanges
				}
				if cut {
					require.NoError(t, b.net.Partition(here, there))
				} else {
					for _, addr := range there {
						b.net.Crash(addr)
					}
				}
				b.await("all say that the zone is lost", func() bool {
					return !slices.ContainsFunc(stay, func(c *cluster.Cluster) bool { return !slices.Contains(problems(c), zoneProblem) })
				})
				for _, c := range stay {
					require.Equal(t, before[c], c.Metrics().RingChanges, c.Local().ID)
				}
			})
		})
	}
}
