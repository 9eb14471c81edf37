package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mostAdmitted is the largest incarnation that members admit now.
func mostAdmitted() uint32 { return uint32(1<<30 + time.Now().Unix()) }

// News with the largest incarnation that members admit, which no later news can exceed within the same
// second, is refuted within seconds.
func TestForgedIncarnationsAreRefuted(t *testing.T) {
	const apart = 6 // seconds between two forged packets
	packets := map[string]func(news) []byte{
		"alive": func(n news) []byte {
			_, nonce, _ := splitName(n.name)
			n.meta = ghost(t, 0, func(m *Member) {
				m.ID, m.PartitionCount, m.Configurations, m.Weight = "n3", 64, []string{"rf3:rendezvous/1"}, maxWeight
				m.Start.Nonce = nonce
			}).meta
			return n.alive()
		},
		"dead": news.dead,
		"left": news.left,
	}
	for name, from := range map[string]string{"a stranger": "10.9.9.9:1", "the address of a member": "10.0.0.2:99"} {
		for what, packet := range packets {
			t.Run(what+" from "+name, func(t *testing.T) {
				inNet(t, func(t *testing.T, n *testNet) {
					one, two, three := n.start(1), n.start(2), n.start(3)
					n.see(3, one, two, three)
					n.active(one, two, three)
					time.Sleep(time.Minute)
					s := n.strangerAt(from, one, two)
					most := func() uint32 {
						if from == "10.9.9.9:1" {
							return mostAdmitted()
						}
						return mostAdmitted() + 1<<20
					}
					isItself := func() bool {
						for _, m := range []*Membership{one, two} {
							if it, found := m.registry.member("n3"); !found || !equalMembers(it, three.Local()) {
								return false
							}
						}
						return true
					}
					require.True(t, isItself())
					for i := range 20 {
						s.say(packet(forged(three, most()+1))) // refused
						s.say(packet(forged(three, most()-uint32(apart*(i%2)))))
						began := time.Now()
						time.Sleep(100 * time.Millisecond)
						n.await("n3 is itself again", isItself)
						require.Less(t, time.Since(began), 3*time.Second, i)
						time.Sleep(apart*time.Second - time.Duration(time.Now().UnixNano()%int64(time.Second)) + time.Duration(i)*50*time.Millisecond)
					}
				})
			})
		}
	}
}
