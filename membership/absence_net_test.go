package membership

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func grace(d time.Duration) func(*Options) { return func(o *Options) { o.RestartGrace = d } }

// active announces that the given members are Active, and waits until all of them know it.
func (n *testNet) active(all ...*Membership) {
	n.t.Helper()
	for _, m := range all {
		require.NoError(n.t, Drive(m).SetState(n.t.Context(), Active))
	}
	n.await("all are known to be active", func() bool {
		for _, m := range all {
			members, _ := m.Members()
			for _, other := range members {
				if other.State != Active {
					return false
				}
			}
		}
		return true
	})
}

// isAway waits until the given members list a NodeID as Away and know that it has left.
func (n *testNet) isAway(id string, all ...*Membership) {
	n.t.Helper()
	n.await(id+" is away", func() bool {
		for _, m := range all {
			if got, ok := m.registry.member(id); !ok || got.State != Away || got.Until.IsZero() {
				return false
			}
		}
		return true
	})
}

// A member that stops with a grace stays in the list. A member that joins meanwhile lists it too.
// The next start of its NodeID learns that and takes the place, at any address and with a slow
// clock.
func TestAMemberIsAwayAndComesBack(t *testing.T) {
	for name, edits := range map[string][]func(*Options){
		"same address":    nil,
		"another address": {onAddr(30), func(o *Options) { o.Zone = "b" }},
		"a slow clock":    {behind(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				first, second := n.start(1), n.start(2)
				third := n.start(3, grace(time.Minute))
				n.see(3, first, second, third)
				n.active(first, second, third)
				require.NoError(t, third.Stop(t.Context()))
				n.isAway("n3", first, second)
				require.Empty(t, first.registry.failed())
				require.ErrorIs(t, Drive(first).Send(t.Context(), "n3", nil), errUnknownMember, "nothing is dialled")

				fourth := n.start(4)
				got, found := fourth.registry.member("n3")
				require.True(t, found, "known before Start returns")
				require.Equal(t, Away, got.State)

				again := n.start(3, edits...)
				require.True(t, Drive(again).Return(t.Context()), "its own record is known before Start returns")
				require.False(t, Drive(again).Return(t.Context()))
				require.Equal(t, Active, again.Local().State)
				n.speaks4(again, first, second, fourth, again)
				events := Drive(first).TakeEvents()
				require.Equal(t, "n3 rejoined", kinds(events)[len(events)-1])
				require.Positive(t, events[len(events)-1].Away)
				require.Zero(t, Drive(first).Stats().Failed)
			})
		})
	}
}

// speaks4 waits until four members list each other and the winner is the member of the NodeID n3.
func (n *testNet) speaks4(winner *Membership, all ...*Membership) {
	n.t.Helper()
	n.see(4, all...)
	n.await("the newest start speaks for n3", func() bool {
		for _, m := range all {
			if got, ok := m.registry.member("n3"); !ok || got.Start != winner.Local().Start || got.Addr != winner.Local().Addr {
				return false
			}
		}
		return true
	})
}

func TestAMemberThatDoesNotComeBackFails(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1), n.start(2)
		third := n.start(3, grace(20*time.Second))
		n.see(3, first, second, third)
		n.active(first, second, third)
		begun := time.Now()
		require.NoError(t, third.Stop(t.Context()))
		n.isAway("n3", first, second)
		n.see(2, first, second)
		require.WithinRange(t, time.Now(), begun.Add(20*time.Second), begun.Add(25*time.Second))
		require.Equal(t, uint64(1), Drive(first).Stats().Failed)
		require.Len(t, first.registry.failed(), 1)
	})
}

// Only a member that is Active becomes Away when it departs.
func TestWhichMembersAreAway(t *testing.T) {
	for state, away := range map[State]bool{Joining: false, Active: true, Draining: false, Leaving: false, Observer: false} {
		t.Run(state.String(), func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				first, second := n.start(1), n.start(2, grace(time.Minute))
				n.see(2, first, second)
				require.NoError(t, Drive(second).SetState(t.Context(), state))
				require.NoError(t, Drive(second).Depart(t.Context()))
				require.Equal(t, away, second.Local().State == Away)
				require.NoError(t, Drive(second).SetState(t.Context(), Active))
				require.NotEqual(t, Active, second.Local().State, "it is about to leave")
				require.NoError(t, second.Stop(t.Context()))
				if away {
					n.isAway("n2", first)
				} else {
					n.see(1, first)
				}
			})
		})
	}
}

// When a new start ends before it is Active, by a crash or a stop, the earlier start is still
// Away.
func TestAStartThatEndsBeforeItIsActiveLeavesThePlace(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1), n.start(2)
		third := n.start(3, grace(10*time.Minute))
		n.see(3, first, second, third)
		n.active(first, second, third)
		require.NoError(t, third.Stop(t.Context()))
		n.isAway("n3", first, second)
		stopped := n.start(3)
		require.NoError(t, stopped.Stop(t.Context()))
		require.Equal(t, Joining, stopped.Local().State)
		crashed := n.start(3)
		n.net.Crash(addrOf(3))
		_ = crashed.Stop(ended())
		time.Sleep(time.Minute)
		n.isAway("n3", first, second)
		require.Zero(t, Drive(first).Stats().Failed)
	})
}

// During a cut, the members on the other side count a member that is Away as failed. After the cut
// all members hold equal lists. Until then the member stays Away, restarts, stays away for longer
// than its grace, or restarts and crashes.
func TestAbsenceAcrossACut(t *testing.T) {
	for name, c := range map[string]struct {
		cut  time.Duration
		back bool
		want int
	}{
		"it is still away":      {2 * time.Minute, false, 5},
		"it came back":          {2 * time.Minute, true, 5},
		"its grace was over":    {11 * time.Minute, false, 4},
		"it came back and fell": {2 * time.Minute, true, 4},
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				var all []*Membership
				for i := range 5 {
					all = append(all, n.start(i+1, grace(10*time.Minute)))
				}
				n.see(5, all...)
				n.active(all...)
				require.NoError(t, n.net.Partition([]netip.AddrPort{addrOf(1), addrOf(4)}, []netip.AddrPort{addrOf(2), addrOf(3), addrOf(5)}))
				require.NoError(t, all[4].Stop(t.Context()))
				n.isAway("n5", all[1], all[2])
				n.see(2, all[0], all[3])
				var again *Membership
				if c.back {
					again = n.start(5)
					require.True(t, Drive(again).Return(t.Context()))
					n.active(all[1], all[2], again)
				}
				if c.want == 4 && c.back {
					n.net.Crash(addrOf(5))
					_ = again.Stop(ended())
				}
				time.Sleep(c.cut)
				n.net.Heal()
				n.see(c.want, all[:4]...)
				n.await("one list", func() bool {
					want, _ := all[0].Members()
					for _, m := range all[1:4] {
						if got, _ := m.Members(); hashMembers(want, true) != hashMembers(got, true) {
							return false
						}
					}
					return true
				})
			})
		})
	}
}

// Stop announces that the member is Away even when its context leaves no time to wait.
func TestAwayWithoutTime(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1), n.start(2)
		third := n.start(3, grace(time.Minute))
		n.see(3, first, second, third)
		n.active(first, second, third)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_ = third.Stop(ctx)
		require.Equal(t, Away, third.Local().State)
		n.isAway("n3", first, second)
	})
}
