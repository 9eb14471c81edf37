package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// publishing makes members publish a view of their list of members, as package cluster
// does. The fingerprint is that of the list.
func (n *testNet) publishing(all ...*Membership) {
	for _, m := range all {
		go func() {
			for {
				select {
				case <-Drive(m).Wake():
				case <-m.life.Stopped():
					return
				}
				Drive(m).TakeEvents()
				members, _ := m.Members()
				Drive(m).Publish(hashMembers(members, true), "c", members, nil)
			}
		}()
	}
}

func TestMembersAgree(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := []*Membership{n.make(1, func(o *Options) { o.Discovery = nil }), n.make(2), n.make(3), n.make(4)}
		n.publishing(all...)
		for _, m := range all {
			require.NoError(t, m.Start(t.Context()))
		}
		n.see(4, all...)
		n.await("all agree", func() bool {
			for _, m := range all {
				if a := Drive(m).Agreement(); !a.Complete || len(m.agreement.index) != 4 {
					return false
				}
			}
			return true
		})
		<-Drive(all[3]).Agreed()
		require.Empty(t, Drive(all[0]).Agreement().Differing)
	})
}

// A member gets news that gossip did not deliver within seconds, long before the next
// exchange of members.
func TestTheTailIsClosed(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := []*Membership{n.make(1, func(o *Options) { o.Discovery = nil }), n.make(2), n.make(3), n.make(4)}
		n.publishing(all...)
		for _, m := range all {
			require.NoError(t, m.Start(t.Context()))
		}
		n.see(4, all...)
		time.Sleep(10 * time.Second)
		before := Drive(all[0]).Stats().TailSyncs + Drive(all[1]).Stats().TailSyncs + Drive(all[2]).Stats().TailSyncs + Drive(all[3]).Stats().TailSyncs

		// n4 gets no packets while the news spreads, and all packets later. Its probes
		// of others succeed over streams, so it stays alive.
		require.NoError(t, n.net.SetPacketLoss(1))
		require.NoError(t, Drive(all[0]).SetState(t.Context(), Active))
		members, _ := all[3].Members()
		require.Equal(t, Joining, members[0].State)
		time.Sleep(8 * time.Second) // by then no member gossips it any more
		require.NoError(t, n.net.SetPacketLoss(0))
		healed := time.Now()
		n.await("all see n1 active", func() bool {
			for _, m := range all[1:] {
				if members, _ := m.Members(); len(members) != 4 || members[0].State != Active {
					return false
				}
			}
			return true
		})
		require.Less(t, time.Since(healed), 5*time.Second)
		after := Drive(all[0]).Stats().TailSyncs + Drive(all[1]).Stats().TailSyncs + Drive(all[2]).Stats().TailSyncs + Drive(all[3]).Stats().TailSyncs
		t.Log("tail exchanges:", after-before, "in", time.Since(healed))
	})
}

// Members with equal lists and different fingerprints are reported, and do not exchange
// their equal lists again and again.
func TestADifferenceThatNoExchangeMends(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1, func(o *Options) { o.Discovery = nil }), n.start(2)
		n.see(2, first, second)
		for i, m := range []*Membership{first, second} {
			members, _ := m.Members()
			m.publish(view{fingerprint: uint64(i + 1), configuration: "c", members: members})
		}
		n.await("the difference is named", func() bool {
			a := Drive(first).Agreement()
			return len(a.Differing) == 1 && a.Differing[0] == differing{"n2", reasonAlgorithm}
		})
		members, _ := second.Members()
		second.publish(view{fingerprint: 2, configuration: "d", members: members})
		n.await("the difference is named", func() bool { return Drive(first).Agreement().Differing[0].Reason == reasonConfiguration })
		before := n.net.Stats().Dials
		time.Sleep(25 * time.Second)
		require.Zero(t, Drive(first).Stats().TailSyncs+Drive(second).Stats().TailSyncs)
		require.Less(t, n.net.Stats().Dials-before, uint64(5), "but for memberlist's own exchanges")

		members, _ = first.Members()
		first.publish(view{fingerprint: 3, configuration: "c", members: members[:1]})
		n.await("the difference is named", func() bool { return Drive(second).Agreement().Differing[0].Reason == reasonMembers })
	})
}
