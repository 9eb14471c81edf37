package membership

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// forgedAnswers are packets that answer the probes with the first numbers that a process can have used.
func forgedAnswers(kind byte, first, last uint32) (packets [][]byte) {
	for first < last {
		var lengths, parts []byte
		for n := 0; n < 100 && first < last; n++ {
			part := append([]byte{kind, 0x81}, number32("SeqNo", first)...)
			lengths = binary.BigEndian.AppendUint16(lengths, uint16(len(part)))
			parts = append(parts, part...)
			first++
		}
		packets = append(packets, labelled(append(append([]byte{7, byte(len(lengths) / 2)}, lengths...), parts...)))
	}
	return packets
}

// A stranger answers all probes that there may be. A crash is noticed as soon as without it, and a start that does
// not run is not believed.
func TestForgedAnswersProveNothing(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one, two, three := n.start(1), n.start(2), n.start(3)
		n.see(3, one, two, three)
		time.Sleep(time.Minute)
		s := n.stranger(one, two, three)
		const numbers = 200
		answers := append(forgedAnswers(2, 0, numbers), forgedAnswers(11, 0, numbers)...)
		answer := func(lasts time.Duration) {
			for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				for _, packet := range answers {
					s.say(packet)
				}
			}
		}
		later := ghost(t, 1, func(m *Member) {
			m.ID, m.PartitionCount, m.Configurations = "n3", 64, []string{"rf3:rendezvous/1"}
			m.Start = Start{Number: three.Local().Start.Number + 1, Nonce: 1}
		})
		for range 5 {
			s.say(later.alive())
			answer(2 * time.Second)
			for _, m := range []*Membership{one, two, three} {
				it, found := m.registry.member("n3")
				require.True(t, found)
				require.Equal(t, three.Local().Start.Nonce, it.Start.Nonce)
			}
		}
		n.net.Crash(three.Local().Addr)
		answer(15 * time.Second)
		for _, m := range []*Membership{one, two} {
			all, _ := m.Members()
			require.Len(t, all, 2)
			gossip, _, running := m.live()
			require.True(t, running)
			used := reflect.ValueOf(gossip).Elem().FieldByName("sequenceNum").Uint()
			t.Log(used, "probes")
			require.Less(t, used, uint64(numbers), "the stranger did not answer all probes")
		}
	})
}

// A stranger says in the name of a member that this one does not answer. This member checks that, and believes what
// it finds.
func TestForgedComplaintsAreChecked(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one, two, three := n.start(1), n.start(2), n.start(3)
		n.see(3, one, two, three)
		s := n.stranger(one)
		for range 60 {
			for _, kind := range []byte{kindNoPacket, kindNoStream} {
				s.say(labelled(append([]byte{8}, reachMessage{kind: kind, name: one.name, from: "n2"}.bytes()...)))
			}
			time.Sleep(time.Second)
			require.Empty(t, Drive(one).Troubles())
		}
	})
}

// A stranger says in the name of a member that it has another view. Nobody has asked for that, and it does not count.
func TestForgedViewsDelayNoAgreement(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		var all []*Membership
		for i := range 12 { // in a small cluster the next probe contradicts
			all = append(all, n.make(1+i))
		}
		n.publishing(all...)
		for _, m := range all {
			require.NoError(t, m.Start(t.Context()))
		}
		agree := func() bool {
			for _, m := range all {
				if !Drive(m).Agreement().Complete {
					return false
				}
			}
			return true
		}
		n.see(12, all...)
		n.await("all agree", agree)
		before, version := all[0].Members()
		s, late := n.stranger(all[0]), false
		for i := range uint64(60) {
			for _, kind := range []byte{kindAsk, kindAnswer} {
				s.say(labelled(append([]byte{8}, digestMessage{kind: kind, digest: digest{fingerprint: i, members: i}, from: "n2"}.append(nil)...)))
			}
			time.Sleep(500 * time.Millisecond)
			late = late || !agree()
		}
		require.False(t, late)
		after, now := all[0].Members()
		require.Equal(t, before, after)
		require.Equal(t, version, now)
	})
}

// A stranger announces members at its own address. That does not make the address one of a known member, for which
// the guard keeps room. A process that joins has a known address as soon as it has answered.
func TestAGhostMakesNoAddressKnown(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one, two := n.start(1), n.start(2)
		n.see(2, one, two)
		time.Sleep(time.Minute)
		s := n.stranger(one)
		own := netip.MustParseAddrPort("10.9.9.9:1")
		listed := false
		for i := range 300 {
			if i < 100 && i%10 == 0 {
				g := ghost(t, i, func(m *Member) { m.PartitionCount, m.Configurations = 64, []string{"rf3:rendezvous/1"} })
				g.addr, g.port = own.Addr().AsSlice(), own.Port()
				s.say(g.alive())
			}
			all, _ := one.Members()
			listed = listed || len(all) > 2
			require.False(t, one.registry.knows(own.Addr()))
			time.Sleep(200 * time.Millisecond)
		}
		require.True(t, listed, "no ghost was believed")
		require.Empty(t, one.registry.unproven)
		three := n.start(3)
		n.see(3, one, two, three)
		n.await("its address is known", func() bool {
			return one.registry.knows(three.Local().Addr.Addr()) && two.registry.knows(three.Local().Addr.Addr())
		})
		require.Empty(t, one.registry.unproven)
	})
}

// A stranger asks in the name of a member, in packets, and the answers are streams. They are bounded in number, so that
// ports remain for streams of this member to the other one: each takes one for a minute.
func TestForgedQuestionsOpenFewStreams(t *testing.T) {
	for name, question := range map[string]func(two *Membership, n uint64) []byte{
		"whether it is reached": func(two *Membership, n uint64) []byte {
			return reachMessage{kind: kindReach, challenge: n, name: two.name}.bytes()
		},
		"which view it has": func(_ *Membership, n uint64) []byte {
			return digestMessage{kind: kindAskStream, from: "n2", digest: digest{fingerprint: n}}.append(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				one, two := n.start(1), n.start(2)
				n.see(2, one, two)
				members, _ := one.Members()
				Drive(one).Publish(7, "c", members, nil) // a member without a view does not answer
				s := n.stranger(one)
				before := Drive(one).Stats().Traffic.StreamsDialed
				asked := uint64(0)
				for range 100 {
					for range 50 {
						asked++
						s.say(labelled(append([]byte{8}, question(two, asked)...)))
					}
					time.Sleep(100 * time.Millisecond)
				}
				dialed := Drive(one).Stats().Traffic.StreamsDialed - before
				require.Positive(t, dialed)
				require.LessOrEqual(t, dialed, uint64(servedBurst+11*servedRate))
				n.see(2, one, two)
			})
		})
	}
}
