package membership

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// These are the events at a member when another member joins and then leaves.
func TestEventsOfAMeeting(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1), n.start(2)
		n.see(2, first, second)
		require.NoError(t, second.Stop(t.Context()))
		var seen []string
		for len(seen) == 0 || seen[len(seen)-1] != "n2 left" {
			<-Drive(first).Wake()
			seen = append(seen, kinds(Drive(first).TakeEvents())...)
		}
		require.Equal(t, []string{"n1 joined", "n2 joined", "n2 leaving", "n2 left"}, seen)
		require.Empty(t, Drive(first).TakeEvents())
		require.False(t, Drive(first).Isolated())
	})
}
