package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Members that a stranger invents, in clear, are gone soon after the stranger has ended. Meanwhile the
// members are not held to be cut off for longer.
func TestInventedMembersAreForgottenSoon(t *testing.T) {
	for _, state := range []State{Joining, Active} {
		if testing.Short() && state == Joining {
			continue
		}
		t.Run(state.String(), func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				one, two, three := n.start(1), n.start(2), n.start(3)
				n.see(3, one, two, three)
				n.active(one, two, three)
				time.Sleep(time.Minute)
				s := n.stranger(one, two, three)
				most := 0
				for i := range 600 { // a minute
					s.say(ghost(t, i, func(m *Member) {
						m.PartitionCount, m.Configurations, m.State = 64, []string{"rf3:rendezvous/1"}, state
					}).alive())
					time.Sleep(100 * time.Millisecond)
					most = max(most, one.registry.countOthers())
				}
				require.Greater(t, most, 20, "the attack is refused for another reason")
				began := time.Now()
				n.see(3, one, two, three)
				for _, m := range []*Membership{one, two, three} {
					n.await("the member is not isolated", func() bool { return !Drive(m).Isolated() })
				}
				require.Less(t, time.Since(began), 20*time.Second)
				t.Logf("at most %d others were listed; they were forgotten after %v", most, time.Since(began))
			})
		})
	}
}
