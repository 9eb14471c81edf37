package membership

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member asks whether others reach it at the moment at which it is back. They still believe it dead, and
// answer all the same.
func TestAMemberThatIsBelievedDeadIsAnswered(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(4)
		time.Sleep(10 * time.Second) // the first checks are over
		require.NoError(t, n.net.Partition([]netip.AddrPort{addrOf(4)}))
		require.True(t, n.within(30*time.Second, 3, all[:3]...))
		n.net.Heal()
		begun := time.Now()
		whole, err := all[3].checkReach(t.Context())
		require.NoError(t, err)
		require.True(t, whole)
		require.Less(t, time.Since(begun), all[3].settings.timings.patience, "the first question is answered")
		members, _ := all[0].registry.members()
		require.Len(t, members, 3, "it is still believed dead")
	})
}

// A check that found a trouble is repeated after a wait that grows, and not on request. A check without
// trouble ends that.
func TestWhenReachIsChecked(t *testing.T) {
	now := time.Unix(1000, 0)
	plan := reachPlan{alone: true, wait: reachRetry}
	require.True(t, plan.begins(now), "this member is no longer alone")
	plan.ended(true, now)
	now = now.Add(time.Hour)
	require.False(t, plan.begins(now))
	plan.wanted = true
	require.True(t, plan.begins(now))
	for _, wait := range []time.Duration{reachRetry, 2 * reachRetry, 4 * reachRetry} {
		plan.ended(false, now)
		require.Equal(t, 2*wait, plan.wait)
		now = now.Add(reachPause)
		plan.wanted = true
		require.False(t, plan.begins(now), "a request does not count")
		now = plan.next
		require.True(t, plan.begins(now))
	}
	plan.ended(true, now)
	require.True(t, plan.deserted())
	require.False(t, plan.deserted())
	require.False(t, plan.begins(now), "the last check has only just ended")
}
