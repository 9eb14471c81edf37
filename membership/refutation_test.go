package membership

import (
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// A member that refutes a suspicion says so again a moment later: the first refutation may reach nobody that
// runs.
func TestARefutationIsRepeated(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(3)
		victim := all[1]
		const suspected = 70000
		_, g, _ := all[0].live()
		packet, err := g.SuspectPacket(victim.name, all[0].name, suspected)
		require.NoError(t, err)
		_, err = g.WriteToAddress(packet, memberlist.Address{Addr: victim.Local().Addr.String(), Name: victim.name})
		require.NoError(t, err)
		all[2].suspicions.suspect(victim.name, suspected+1) // the incarnation of the first refutation
		time.Sleep(300 * time.Millisecond)
		require.Equal(t, 1, all[2].suspicions.count())
		time.Sleep(2 * time.Second)
		require.Zero(t, all[2].suspicions.count())
	})
}

// A member is deaf while it hears nobody, and for a moment after that.
func TestADeafMember(t *testing.T) {
	m, err := New(optionsOf(1))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	m.settings.now = func() time.Time { return now }
	require.False(t, m.deaf(), "it has not heard anybody yet")
	pause := longPause * m.settings.timings.probeInterval
	m.heardFrom()
	now = now.Add(pause)
	require.False(t, m.deaf())
	now = now.Add(time.Millisecond)
	require.True(t, m.deaf())
	m.heardFrom()
	require.True(t, m.deaf(), "it just hears others again")
	for range 3 {
		now = now.Add(pause / 3)
		m.heardFrom()
	}
	require.False(t, m.deaf())
}

// With keys, a member that others reach and this one does not is believed again when it refutes its death:
// nobody can forge the refutation.
func TestARefutationByWayOfAThirdMember(t *testing.T) {
	for _, edit := range []func(*Options){func(*Options) {}, withKeys} {
		inNet(t, func(t *testing.T, n *testNet) {
			all := n.found(3, edit)
			n.net.Block(addrOf(1), addrOf(3))
			n.net.Block(addrOf(3), addrOf(1))
			_, g, _ := all[0].live()
			packet, err := g.DeadPacket(all[2].name, all[0].name, 70000)
			require.NoError(t, err)
			g.Inject(packet)
			require.True(t, n.within(time.Second, 2, all[0]))
			require.True(t, n.within(10*time.Second, 3, all[0]))
		})
	}
}

// A member declares another one dead that runs, and none of the others has heard of a suspicion. They suspect it,
// and it refutes that.
func TestADeathThatNobodyExpects(t *testing.T) {
	for _, edit := range []func(*Options){func(*Options) {}, withKeys} {
		inNet(t, func(t *testing.T, n *testNet) {
			all := n.found(5, edit)
			_, g, _ := all[0].live()
			packet, err := g.DeadPacket(all[4].name, all[0].name, 60000)
			require.NoError(t, err)
			for _, m := range all[1:4] {
				_, err = g.WriteToAddress(packet, memberlist.Address{Addr: m.Local().Addr.String(), Name: m.name})
				require.NoError(t, err)
			}
			time.Sleep(30 * time.Second)
			for _, m := range all {
				require.Zero(t, m.stats().Failed, m.Local().ID)
			}
			require.False(t, all[4].deaths.lastRefuted().IsZero(), "it has refuted that")
		})
	}
}
