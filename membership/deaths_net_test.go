package membership

import (
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// A member that loses most of what it sends refutes its death, and steps back: streams to those that it asks about
// its death would take too long.
func TestAMemberThatIsHardlyHeardLearnsOfItsDeath(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		const size = 20
		all := n.found(size)
		victim, healthy, at := all[size-1], all[:size-1], addrOf(size)
		for _, m := range healthy {
			n.net.Block(at, m.Local().Addr)
			m.suspicions.suspect(victim.name, 0)
		}
		time.Sleep(2500 * time.Millisecond)
		for _, m := range healthy {
			_, g, _ := m.live()
			packet, err := g.DeadPacket(victim.name, m.name, 60)
			require.NoError(t, err)
			g.Inject(packet)
			_, err = g.WriteToAddress(packet, memberlist.Address{Addr: at.String(), Name: victim.name})
			require.NoError(t, err)
		}
		require.True(t, n.within(100*time.Millisecond, size-1, healthy...))
		began := time.Now()
		n.net.Heal()
		require.NoError(t, n.net.SetHostLoss(at, 0, 0.7))
		require.True(t, n.within(10*time.Second, size, healthy...))
		n.await("it knows", func() bool { return Drive(victim).DeclaredDead() != nil })
		require.Less(t, time.Since(began), 8*time.Second)
	})
}
