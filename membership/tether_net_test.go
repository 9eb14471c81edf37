package membership

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/internal/tether"
)

// found starts members 1 to size, and waits until they have opened their tethers.
func (n *testNet) found(size int, edits ...func(*Options)) []*Membership {
	n.t.Helper()
	var all []*Membership
	for i := 1; i <= size; i++ {
		all = append(all, n.start(i, edits...))
	}
	n.see(size, all...)
	time.Sleep(2 * time.Second)
	return all
}

// within waits until each of the given members lists count members, up to a limit, and returns
// whether they do.
func (n *testNet) within(limit time.Duration, count int, all ...*Membership) bool {
	n.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		behind := false
		for _, m := range all {
			members, _ := m.Members()
			behind = behind || len(members) != count
		}
		if !behind {
			return true
		}
	}
	return false
}

func withKeys(o *Options) { o.Gossip.Keys = Keys{make([]byte, 32)} }
func tcpOnly(o *Options)  { o.Gossip.TCPOnly = true }

// All members know within half a second that a process has died, and it is not there when its
// process has been replaced.
func TestATetherShowsThatAProcessHasDied(t *testing.T) {
	for name, edit := range map[string]func(*Options){"clear": func(*Options) {}, "encrypted": withKeys, "TCP only": tcpOnly} {
		for size := 2; size <= 8; size += 3 {
			t.Run(name, func(t *testing.T) {
				inNet(t, func(t *testing.T, n *testNet) {
					all := n.found(size, edit)
					for _, m := range all {
						require.Equal(t, min(size-1, heldTethers), m.stats().Tethers.Held)
						require.Equal(t, min(size-1, heldTethers), m.stats().Tethers.Served)
					}
					n.net.Kill(addrOf(size))
					require.True(t, n.within(400*time.Millisecond, size-1, all[:size-1]...))
					declared := uint64(0)
					for _, m := range all[:size-1] {
						declared += m.stats().Tethers.Declared
					}
					require.Positive(t, declared)
				})
			})
		}
	}
}

// A host that vanishes ends no stream. Beats that do not arrive show that. The holders then make all
// members suspect it, so that any of them may pass on its refutation.
func TestBeatsShowThatAHostIsLost(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		inNet(t, func(t *testing.T, n *testNet) {
			all := n.found(8)
			require.NoError(t, n.net.SetPacketLoss(loss))
			require.NoError(t, n.net.SetStreamLoss(loss))
			n.net.Crash(addrOf(8))
			require.False(t, n.within(2*time.Second, 7, all[:7]...))
			require.True(t, n.within(3*time.Second, 7, all[:7]...))
		})
	}
}

// A member that found that another one refuses connections makes the holders look at once, before beats
// are missing.
func TestADoubtMakesHoldersLook(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(8)
		n.net.Crash(addrOf(8))
		Drive(all[0]).Doubt("n8")
		Drive(all[0]).Doubt("n1")
		Drive(all[0]).Doubt("nobody")
		time.Sleep(time.Second)
		examined := uint64(0)
		for _, m := range all[:7] {
			examined += m.stats().Tethers.Examined
		}
		require.GreaterOrEqual(t, examined, uint64(3))
		require.True(t, n.within(6*time.Second, 7, all[:7]...))
	})
}

// A message that a member refuses makes the holders look, and they find that the member lives.
func TestARefusedMessageIsADoubt(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(8)
		n.net.Refuse(addrOf(1), addrOf(8))
		require.Error(t, Drive(all[0]).Send(t.Context(), "n8", []byte("hello")))
		time.Sleep(time.Second)
		examined := uint64(0)
		for _, m := range all {
			examined += m.stats().Tethers.Examined
			require.Zero(t, m.stats().Failed)
		}
		require.Positive(t, examined)
	})
}

// Members with and without tethers work together. A member without them is noticed at the old speed.
func TestTethersAreOnlyBetweenMembersThatHaveThem(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(6, func(o *Options) { o.Gossip.NoTethers = o.NodeID == "n6" || o.NodeID == "n1" })
		require.Zero(t, all[0].stats().Tethers)
		require.Equal(t, 3, all[1].stats().Tethers.Held)
		n.net.Kill(addrOf(5))
		require.True(t, n.within(400*time.Millisecond, 5, append(all[:4:4], all[5])...))
		n.net.Kill(addrOf(6))
		require.False(t, n.within(2*time.Second, 4, all[:4]...))
		require.True(t, n.within(20*time.Second, 4, all[:4]...))
	})
}

// A process that restarts at once does not leave the lists of the others.
func TestAQuickRestartKeepsItsPlaceInTheLists(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(6)
		old := all[5].Local().Start
		n.net.Kill(addrOf(6))
		time.Sleep(330 * time.Millisecond)
		again := n.make(6)
		began := make(chan error, 1)
		go func() { began <- again.Start(t.Context()) }()
		for range 5000 {
			time.Sleep(time.Millisecond)
			for _, m := range all[:5] {
				members, _ := m.Members()
				require.Len(t, members, 6)
			}
		}
		require.NoError(t, <-began)
		for _, m := range all[:5] {
			now, known := m.registry.member("n6")
			require.True(t, known && now.Start != old)
			require.Empty(t, m.registry.rivals("n6")[1:], "the old start is gone")
		}
	})
}

// What does not end a process does not remove a member.
func TestNoLivingMemberIsDeclaredDead(t *testing.T) {
	const size = 8
	last := addrOf(size)
	for name, trouble := range map[string]func(n *testNet){
		"streams end":                          func(n *testNet) { n.net.CloseStreams(last) },
		"streams end, and a few are refused":   func(n *testNet) { n.refuse(last, 3); n.net.CloseStreams(last) },
		"streams end, and most are refused":    func(n *testNet) { n.refuse(last, 6); n.net.CloseStreams(last) },
		"streams end, and all are refused":     func(n *testNet) { n.refuse(last, size); n.net.CloseStreams(last) },
		"the process stands still for a while": func(n *testNet) { n.net.Stall(last); time.Sleep(3 * time.Second); n.net.Resume(last) },
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				all := n.found(size)
				times := 5
				if testing.Short() {
					times = 2
				}
				for range times {
					trouble(n)
					time.Sleep(20 * time.Second)
				}
				for _, m := range all {
					require.Zero(t, m.stats().Failed, m.Local().ID)
					require.Zero(t, m.stats().Tethers.Declared, m.Local().ID)
				}
				require.Positive(t, all[0].stats().Tethers.Examined+all[1].stats().Tethers.Examined+all[2].stats().Tethers.Examined+
					all[3].stats().Tethers.Examined+all[4].stats().Tethers.Examined+all[5].stats().Tethers.Examined+all[6].stats().Tethers.Examined)
			})
		})
	}
}

// Nothing that members survive removes one of them, however long it goes on: packets and streams that are
// lost, streams that end, connections that are refused, a process that stands still for three seconds.
// With CLUSTERKIT_SIM_FULL it goes on for ten minutes among 30 members.
func TestNoMemberIsRemovedInTenMinutes(t *testing.T) {
	size, minutes := 8, 2
	switch {
	case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
		size, minutes = 30, 10
	case testing.Short():
		minutes = 1
	}
	last := addrOf(size)
	for name, trouble := range map[string]func(n *testNet){
		"loss of 10 %": func(n *testNet) {
			require.NoError(n.t, n.net.SetPacketLoss(0.1))
			require.NoError(n.t, n.net.SetStreamLoss(0.1))
		},
		"streams end each minute": func(n *testNet) {
			for i := range size {
				n.net.CloseStreams(addrOf(i + 1))
			}
		},
		"30 % are refused":  func(n *testNet) { n.refuse(last, size*3/10); n.net.CloseStreams(last) },
		"60 % are refused":  func(n *testNet) { n.refuse(last, size*6/10); n.net.CloseStreams(last) },
		"90 % are refused":  func(n *testNet) { n.refuse(last, size*9/10); n.net.CloseStreams(last) },
		"100 % are refused": func(n *testNet) { n.refuse(last, size); n.net.CloseStreams(last) },
		"three seconds of standing still": func(n *testNet) {
			n.net.Stall(last)
			time.Sleep(3 * time.Second)
			n.net.Resume(last)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inNet(t, func(t *testing.T, n *testNet) {
				all := n.found(size)
				for range minutes {
					trouble(n)
					time.Sleep(time.Minute)
				}
				for _, m := range all {
					require.Zero(t, m.stats().Failed, m.Local().ID)
				}
			})
		})
	}
}

// refuse makes the address of a member refuse the connections of the first members.
func (n *testNet) refuse(to netip.AddrPort, first int) {
	for i := 1; i <= first; i++ {
		if addrOf(i) != to {
			n.net.Refuse(addrOf(i), to)
		}
	}
}

// A member that leaves ends its tethers on purpose.
func TestALeaveIsNotExamined(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(6)
		require.NoError(t, all[5].Stop(t.Context()))
		n.see(5, all[:5]...)
		time.Sleep(5 * time.Second)
		for _, m := range all[:5] {
			require.Zero(t, m.stats().Tethers.Examined, m.Local().ID)
			require.Equal(t, uint64(1), m.stats().Left)
			require.Equal(t, 3, m.stats().Tethers.Held)
		}
		n.free(6)
	})
}

// forge opens a tether of a process without keys at an address, in the name of a member.
func (n *testNet) forge(from, to netip.AddrPort, self, name string) (*tether.Session, net.Conn, error) {
	transport, err := n.net.Listen(from, nil)
	require.NoError(n.t, err)
	n.t.Cleanup(func() { _ = transport.Shutdown() })
	conn, err := transport.DialTimeout(to.String(), time.Second)
	require.NoError(n.t, err)
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, err = conn.Write(append([]byte{244, 6}, "orders\xc3"...))
	require.NoError(n.t, err)
	session, err := tether.Hold(conn, unsealed{}, self, name)
	return session, conn, err
}

// unsealed is the Sealer of a cluster without keys.
type unsealed struct{}

func (unsealed) Seal(plain, _ []byte) ([]byte, error) { return plain, nil }
func (unsealed) Open(b, _ []byte) ([]byte, bool)      { return b, true }

// A process without a key may send any number of claims where gossip is in clear. No member is
// removed, and no member is dialed more than once a second because of that. A member ends the tether of such a
// process, which then opens another one. With CLUSTERKIT_SIM_FULL it goes on for ten seconds at each of ten members.
func TestForgedClaims(t *testing.T) {
	size, lasts := 6, time.Second
	if os.Getenv("CLUSTERKIT_SIM_FULL") != "" {
		size, lasts = 10, 10*time.Second
	}
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(size)
		before, begun := n.net.Stats().Dials, time.Now()
		sent, tethers := 0, uint64(0)
		for i, victim := range all {
			target, liar := all[(i+1)%size], all[(i+2)%size]
			var session *tether.Session
			for until := time.Now().Add(lasts); time.Now().Before(until); time.Sleep(time.Millisecond) {
				if session == nil {
					from := netip.AddrPortFrom(liar.Local().Addr.Addr(), uint16(20000+tethers)) // a host of the cluster
					opened, _, err := n.forge(from, target.Local().Addr, liar.name, target.name)
					if tethers++; err != nil {
						continue
					}
					session = opened
				}
				if sent++; session.Claim(victim.name, tether.Gone, time.Second) != nil {
					session = nil
				}
			}
		}
		t.Logf("%d claims over %d tethers", sent, tethers)
		require.Greater(t, sent, 100*size)
		seconds := 1 + uint64(time.Since(begun).Seconds())
		require.LessOrEqual(t, n.net.Stats().Dials-before-tethers, uint64(size)*(seconds+3), "a dial a second and member, and three for its tethers")
		for _, m := range all {
			require.Zero(t, m.stats().Failed)
		}
	})
}

// Tethers are accepted from known hosts, and with keys from members that have one.
func TestTethersOfStrangersAreRefused(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(2)
		_, conn, err := n.forge(netip.MustParseAddrPort("10.9.9.9:1"), addrOf(1), all[1].name, all[0].name)
		require.Error(t, err)
		require.NoError(t, conn.Close())
		require.Equal(t, 1, all[0].stats().Tethers.Served)
		require.Positive(t, all[0].stats().Refused.Malformed)
		session, _, err := n.forge(netip.AddrPortFrom(addrOf(2).Addr(), 9), addrOf(1), "stranger~0000000000000001", all[0].name)
		require.NoError(t, err)
		_, err = session.Read()
		require.Error(t, err, "it is no member")
	})
	inNet(t, func(t *testing.T, n *testNet) {
		all := n.found(2, withKeys)
		_, _, err := n.forge(netip.AddrPortFrom(addrOf(2).Addr(), 9), addrOf(1), all[1].name, all[0].name)
		require.Error(t, err)
		require.Equal(t, 1, all[0].stats().Tethers.Served)
		synctest.Wait()
	})
}

func TestIncarnationAbove(t *testing.T) {
	require.EqualValues(t, 65536, incarnationAbove(-time.Hour))
	require.EqualValues(t, 65536+3600, incarnationAbove(time.Hour))
	require.EqualValues(t, mostIncarnation, incarnationAbove(1<<62))
}
