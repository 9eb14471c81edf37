package cluster_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

const awayProblem = "member-away"

func restartGrace(d time.Duration) edit {
	return func(o *cluster.Options) { o.RestartGrace = d }
}

// A rolling restart in place: each of six members stops, and starts a second later. With journals
// nothing is copied as a whole, every write is acknowledged and every key can be read all the time.
// Without journals each member receives each of its partitions once.
func TestRollingRestartInPlace(t *testing.T) {
	for _, journal := range []bool{true, false} {
		t.Run(fmt.Sprint("journal ", journal), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				f := newFleet(t, b, 6, journal, restartGrace(time.Minute))
				ring := f.members["n1"].Ring().Fingerprint()
				for i := 1; i <= 6; i++ {
					f.end(i)
					require.NoError(t, f.busy(func() error { time.Sleep(time.Second); return nil }))
					c := f.begin(i, restartGrace(time.Minute))
					require.Equal(t, membership.Active, c.Local().State, "it owns when Start returns")
					f.calm()
					for id, m := range f.members {
						require.Equal(t, ring, m.Ring().Fingerprint(), id)
					}
					id := fmt.Sprint("n", i)
					if journal {
						require.Empty(t, f.copies(), "after the restart of %s", id)
					} else {
						all, again := f.copying[id].copies()
						require.Zero(t, again, "%s received a partition twice", id)
						require.LessOrEqual(t, all, f.members[id].Metrics().Primaries+f.members[id].Metrics().Replicas)
						f.copying[id].copied = make(map[int]int)
						require.Empty(t, f.copies(), "another member than %s copied", id)
					}
				}
				if journal { // without journals the token names another start, and requests wait until it is known
					require.Empty(t, f.refused)
					require.Empty(t, f.unserved)
				}
				require.Empty(t, f.behind)
			})
		})
	}
}

// While a member is away, the others name it and the end of its grace, and keep the ring. A member
// that joins meanwhile derives the same ring.
func TestWhileAMemberIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		f := newFleet(t, b, 4, true, restartGrace(10*time.Minute))
		begun := time.Now()
		f.end(4)
		f.awaitBusy("n4 is away", func() bool { return slices.Contains(problems(f.members["n1"]), awayProblem) })
		for id, m := range f.members {
			away, found := m.Member("n4")
			require.True(t, found, id)
			require.Equal(t, membership.Away, away.State)
			require.WithinRange(t, away.Until, begun.Add(10*time.Minute), time.Now().Add(10*time.Minute))
			require.Contains(t, problem(t, m, awayProblem).Message, "n4 until "+away.Until.UTC().Format(time.RFC3339))
			require.False(t, problem(t, m, awayProblem).Critical)
			require.True(t, m.Health().Ready)
			require.True(t, m.Metrics().Problems[awayProblem])
			_, owns := m.Ring().Node("n4")
			require.True(t, owns)
			nodes, err := m.NodesForKey(t.Context(), "key 1")
			require.NoError(t, err)
			for i, n := range nodes[:len(nodes)-1] {
				require.NotEqual(t, "n4", n.ID, "%d of %d", i, len(nodes))
			}
		}
		newcomer := f.begin(5)
		f.awaitBusy("n5 owns", func() bool { return newcomer.Local().State == membership.Active })
		f.awaitBusy("all agree, but for n4", func() bool {
			for _, m := range f.members {
				if m.Fingerprint() != newcomer.Fingerprint() || len(m.Members()) != 5 || !m.Health().Agreed {
					return false
				}
			}
			return true
		})
		require.Equal(t, f.members["n1"].Ring().Fingerprint(), newcomer.Ring().Fingerprint())
		f.begin(4)
		f.calm()
		require.Empty(t, problems(newcomer))
		f.check()
	})
}

// A member that does not come back is replaced when its grace is over.
func TestAMemberThatStaysAwayIsReplaced(t *testing.T) {
	long(t)
	for name, crash := range map[string]bool{"it never starts": false, "its next start crashes": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				const grace, detection = 30 * time.Second, 15 * time.Second
				f := newFleet(t, b, 5, true, restartGrace(grace))
				f.end(5)
				begun := time.Now()
				if crash {
					f.begin(5)
					b.net.Crash(addrPort(5))
					_ = f.members["n5"].Stop(ended())
					delete(f.members, "n5")
				}
				f.awaitBusy("n5 is replaced", func() bool {
					_, owns := f.members["n1"].Ring().Node("n5")
					return !owns
				})
				require.LessOrEqual(t, time.Since(begun), grace+detection)
				f.calm()
				f.check()
				for id, m := range f.members {
					require.Empty(t, m.Handoff().State().Lost, id)
				}
			})
		})
	}
}

// Several members are away at once, up to all but one of a partition's owners. They come back
// with or without the data on their disks, at other addresses, in other zones, with other
// weights.
func TestSeveralMembersAreAwayAtOnce(t *testing.T) {
	long(t)
	for name, back := range map[string]edit{
		"as they were": func(*cluster.Options) {},
		"at other addresses": func(o *cluster.Options) {
			o.GossipAddr = o.GossipAddr[:len("10.0.0.")] + "1" + o.GossipAddr[len("10.0.0."):]
		},
		"in one zone":        func(o *cluster.Options) { o.Zone = "elsewhere" },
		"with other weights": func(o *cluster.Options) { o.Weight = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				f := newFleet(t, b, 6, true, restartGrace(time.Minute))
				f.end(4)
				f.end(5)
				require.NoError(t, f.busy(func() error { time.Sleep(5 * time.Second); return nil }))
				f.begin(4, back)
				f.begin(5, back)
				f.calm()
				f.check()
				if name == "as they were" || name == "at other addresses" {
					require.Empty(t, f.copies())
				}
			})
		})
	}
}

// All members restart at once, with journals. Nothing is copied and nothing is lost.
func TestAllMembersRestartAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		f := newFleet(t, b, 5, true, restartGrace(time.Minute))
		var stops sync.WaitGroup
		for _, m := range f.members {
			stops.Go(func() { _ = m.Stop(within(t, patience)) })
		}
		stops.Wait()
		clear(f.members)
		clear(f.shelf.stores)
		time.Sleep(time.Second)
		var starts sync.WaitGroup
		var lock sync.Mutex
		for i := 1; i <= 5; i++ {
			starts.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				lock.Lock()
				s, j := f.copying[fmt.Sprint("n", i)], f.books[i]
				c := b.make(i, restartGrace(time.Minute), func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Journal, o.Bootstrap.MinMembers = s, j, 3 })
				f.shelf.mu.Lock()
				f.shelf.stores[c.Local().Start.Nonce] = s.store
				f.shelf.mu.Unlock()
				f.members[c.Local().ID] = c
				lock.Unlock()
				_ = c.Start(t.Context())
			})
		}
		starts.Wait()
		f.settle()
		f.check()
		require.Empty(t, f.copies())
	})
}

// A member without a handoff stays an owner while it is away, too. An observer owns
// nothing, and is not away.
func TestAwayWithoutHandoff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3, restartGrace(time.Minute))
		observer := b.start(4, restartGrace(time.Minute), func(o *cluster.Options) { o.Observer = true })
		b.agree(append(all, observer)...)
		ring := all[0].Ring().Fingerprint()
		require.NoError(t, observer.Stop(within(t, patience)))
		require.NoError(t, observer.Stop(within(t, patience)), "a second Stop")
		b.agree(all...)
		changes := all[0].Metrics().RingChanges
		for range 2 {
			require.NoError(t, all[2].Stop(within(t, patience)))
			require.Equal(t, membership.Away, all[2].Local().State)
			time.Sleep(time.Second)
			all[2] = b.start(3, restartGrace(time.Minute))
			b.agree(all...)
			require.Equal(t, ring, all[0].Ring().Fingerprint())
		}
		require.Equal(t, changes, all[0].Metrics().RingChanges)

		require.NoError(t, all[2].Drain(within(t, patience)))
		require.NoError(t, all[2].Stop(within(t, patience)))
		require.Equal(t, membership.Leaving, all[2].Local().State, "a member that has drained has no place to keep")
		b.agree(all[:2]...)
	})
}

// An owner that is away counts in a write set, and its acknowledgement is missing.
func TestAnOwnerThatIsAwayCountsInAWriteSet(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3, restartGrace(time.Minute))
		require.NoError(t, all[2].Stop(within(t, patience)))
		p := all[0].Lookup("k")
		there := func(id string) bool { return id != "n3" }
		require.True(t, ring.Writers(p).Includes("n3"))
		require.True(t, ring.Writers(p).Enough(2, there))
		require.False(t, ring.Writers(p).Enough(3, there))
	})
}
