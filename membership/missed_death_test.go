package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that missed the news of a death learns of it from an exchange of members, and looks itself. It
// does not wait for a suspicion of its own, which may last for half a minute.
func TestTheNewsOfADeathThatWasMissed(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.1} {
		if testing.Short() && loss == 0.05 {
			continue
		}
		for name, fault := range map[string]func(n *testNet, i int){
			"process": func(n *testNet, i int) { n.net.Kill(addrOf(i)) },
			"host":    func(n *testNet, i int) { n.net.Crash(addrOf(i)) },
		} {
			t.Run(fmt.Sprintf("%s at %v", name, loss), func(t *testing.T) {
				inNet(t, func(t *testing.T, n *testNet) {
					const size = 12
					var all []*Membership
					for i := 1; i <= size; i++ {
						all = append(all, n.make(i))
					}
					n.publishing(all...)
					for _, m := range all {
						require.NoError(t, m.Start(t.Context()))
					}
					n.see(size, all...)
					time.Sleep(10 * time.Second)
					require.NoError(t, n.net.SetStreamLoss(loss))
					// No packet arrives until no member gossips the death any more.
					require.NoError(t, n.net.SetPacketLoss(1))
					fault(n, size)
					n.await("a holder knows", func() bool {
						for _, m := range all[:size-1] {
							if members, _ := m.Members(); len(members) < size {
								return true
							}
						}
						return false
					})
					time.Sleep(2 * time.Second)
					missed := 0
					for _, m := range all[:size-1] {
						if members, _ := m.Members(); len(members) == size {
							missed++
						}
					}
					require.Positive(t, missed)
					require.NoError(t, n.net.SetPacketLoss(loss))
					began := time.Now()
					n.see(size-1, all[:size-1]...)
					t.Logf("%d members missed it, and knew %v after packets arrived", missed, time.Since(began))
					require.Less(t, time.Since(began), 8*time.Second)
				})
			})
		}
	}
}
