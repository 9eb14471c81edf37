package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that changes what it announces many times a second, as one does that announces its load, is missed as soon as
// others when it crashes: holders of tethers declare it dead with an incarnation above all that it can reach.
func TestManyUpdatesDoNotHideACrash(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of gossip")
	}
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(4)
		one, two, three, four := all[0], all[1], all[2], all[3]
		n.see(4, all...)
		for i := range 70_000 {
			require.NoError(t, four.Update(t.Context(), func(a *Attributes) { a.Metadata = map[string]string{"load": fmt.Sprint(i)} }))
			if i%10 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		n.await("all know the last value", func() bool {
			for _, m := range all {
				if it, _ := m.registry.member(four.settings.NodeID); it.Metadata["load"] != fmt.Sprint(69_999) {
					return false
				}
			}
			return true
		})
		n.net.Kill(four.Local().Addr)
		require.True(t, n.within(400*time.Millisecond, 3, one, two, three))
	})
}
