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
