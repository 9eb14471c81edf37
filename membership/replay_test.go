package membership

import (
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// recorder is a network on which a process without a key records all that is sent.
type recorder struct {
	*memnet.Network
	mu      sync.Mutex
	ended   bool // a process that has crashed goes on in a simulation, and sends what never arrives
	packets []recording
	streams []*recording
}

// recording is a packet or the bytes of a stream, and where it was sent.
type recording struct {
	to    string
	bytes []byte
}

// end ends the recording.
func (r *recorder) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *recorder) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	inner, err := r.Network.Listen(addr, logger)
	return recordingTransport{inner, r}, err
}

type recordingTransport struct {
	Transport
	r *recorder
}

func (t recordingTransport) WriteToAddress(b []byte, a Address) (time.Time, error) {
	t.r.mu.Lock()
	if !t.r.ended {
		t.r.packets = append(t.r.packets, recording{a.Addr, slices.Clone(b)})
	}
	t.r.mu.Unlock()
	return t.Transport.WriteToAddress(b, a)
}

func (t recordingTransport) DialAddressTimeout(a Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.Transport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	one := &recording{to: a.Addr}
	t.r.mu.Lock()
	t.r.streams = append(t.r.streams, one)
	t.r.mu.Unlock()
	return recordedConn{conn, one, t.r}, nil
}

type recordedConn struct {
	net.Conn
	one *recording
	r   *recorder
}

func (c recordedConn) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	if !c.r.ended {
		c.one.bytes = append(c.one.bytes, b...)
	}
	c.r.mu.Unlock()
	return c.Conn.Write(b)
}

// replay sends all recordings again, each to every one of the addresses, from another address.
func (r *recorder) replay(t *testing.T, to ...string) {
	t.Helper()
	attacker, err := r.Network.Listen(netip.MustParseAddrPort("10.9.9.9:1"), nil)
	require.NoError(t, err)
	r.mu.Lock()
	packets, streams := slices.Clone(r.packets), slices.Clone(r.streams)
	r.mu.Unlock()
	for i, one := range packets {
		for _, addr := range to {
			_, err := attacker.WriteToAddress(one.bytes, Address{Addr: addr})
			require.NoError(t, err)
		}
		if i%32 == 0 {
			time.Sleep(time.Millisecond) // the inbox of a member holds a number of packets
		}
	}
	for _, one := range streams {
		for _, addr := range to {
			conn, err := attacker.DialAddressTimeout(Address{Addr: addr}, time.Second)
			require.NoError(t, err)
			_, _ = conn.Write(one.bytes)
			time.Sleep(10 * time.Millisecond)
			require.NoError(t, conn.Close())
		}
	}
	require.NoError(t, attacker.Shutdown())
}

// With keys, what a start has sent does not bring it back: not after it has left, and not after it
// has failed.
func TestReplayBringsNoStartBack(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, n *testNet, m *Membership){
		"left":    func(t *testing.T, _ *testNet, m *Membership) { require.NoError(t, m.Stop(t.Context())) },
		"crashed": func(_ *testing.T, n *testNet, m *Membership) { n.net.Crash(m.Local().Addr) },
		"crashed, and forgotten": func(t *testing.T, n *testNet, m *Membership) {
			n.net.Crash(m.Local().Addr)
			n.see(2, n.all[0], n.all[1])
			require.True(t, Drive(n.all[0]).Forget("n3"))
			require.True(t, Drive(n.all[1]).Forget("n3"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				r := &recorder{Network: n.net}
				keyed := func(o *Options) { o.Gossip.Network, o.Gossip.Keys = r, Keys{hostileKey} }
				one, two, three := n.start(1, keyed), n.start(2, keyed), n.start(3, keyed)
				n.see(3, one, two, three)
				time.Sleep(time.Minute) // with exchanges of members
				end(t, n, three)
				r.end()
				n.see(2, one, two)
				waits := []time.Duration{0, 50 * time.Second, time.Hour}
				if testing.Short() {
					waits = waits[:2]
				}
				for _, wait := range waits {
					time.Sleep(wait)
					before := one.registry.stats().Rejoined + two.registry.stats().Rejoined
					r.replay(t, addrOf(1).String(), addrOf(2).String())
					time.Sleep(time.Second)
					require.Equal(t, before, one.registry.stats().Rejoined+two.registry.stats().Rejoined)
					n.see(2, one, two)
				}
			})
		})
	}
}

// With keys, a start that has failed and runs comes back.
func TestAStartThatFailedComesBackWithKeys(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		keyed := func(o *Options) { o.Gossip.Keys = Keys{hostileKey} }
		one, two, three := n.start(1, keyed), n.start(2, keyed), n.start(3, keyed)
		n.see(3, one, two, three)
		for _, cut := range []time.Duration{time.Minute, time.Hour} {
			err := n.net.Partition([]netip.AddrPort{addrOf(1), addrOf(2)}, []netip.AddrPort{addrOf(3)})
			require.NoError(t, err)
			n.see(2, one, two)
			n.see(1, three)
			time.Sleep(cut)
			n.net.Heal()
			n.see(3, one, two, three)
		}
	})
}

// With keys, a recorded exchange does not bring an absence back to a member that has started since.
func TestReplayBringsNoAbsenceBack(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		r := &recorder{Network: n.net}
		keyed := func(o *Options) { o.Gossip.Network, o.Gossip.Keys = r, Keys{hostileKey} }
		one, two, three := n.start(1, keyed), n.start(2, keyed), n.start(3, keyed, grace(2*time.Minute))
		n.see(3, one, two, three)
		n.active(one, two, three)
		require.NoError(t, three.Stop(t.Context()))
		n.isAway("n3", one, two)
		r.mu.Lock()
		r.packets, r.streams = nil, nil
		r.mu.Unlock()
		time.Sleep(90 * time.Second) // with exchanges
		r.end()
		time.Sleep(time.Hour)
		n.see(2, one, two)
		four := n.start(4, keyed)
		n.see(3, one, two, four)
		time.Sleep(newCompany)
		before := four.registry.stats()
		r.replay(t, addrOf(4).String())
		after := four.registry.stats()
		require.Equal(t, before.Joined+before.Rejoined, after.Joined+after.Rejoined)
		n.see(3, one, two, four)
	})
}

// With keys, what a start has sent that crashed does not bring it back after a later start of its NodeID has
// taken its place, and has left.
func TestReplayBringsNoEarlierStartBack(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of gossip")
	}
	inNet(t, func(t *testing.T, n *testNet) {
		r := &recorder{Network: n.net}
		keyed := func(o *Options) { o.Gossip.Network, o.Gossip.Keys = r, Keys{hostileKey} }
		one, two, three := n.start(1, keyed), n.start(2, keyed), n.start(3, keyed)
		n.see(3, one, two, three)
		time.Sleep(time.Minute) // with exchanges of members
		r.end()
		n.net.Crash(three.Local().Addr)
		n.see(2, one, two)
		again := n.start(3, func(o *Options) { o.Gossip.Keys, o.GossipAddr = Keys{hostileKey}, addrOf(4).String() })
		n.see(3, one, two, again)
		same := func(of string) {
			t.Helper()
			before := []Stats{one.registry.stats(), two.registry.stats()}
			r.replay(t, addrOf(1).String(), addrOf(2).String())
			time.Sleep(time.Second)
			for i, m := range []*Membership{one, two} {
				after := m.registry.stats()
				require.Equal(t, before[i].Joined+before[i].Rejoined, after.Joined+after.Rejoined, of)
				require.Empty(t, Drive(again).Rivals(), of)
			}
		}
		same("while the later start runs")
		n.see(3, one, two, again)
		require.NoError(t, again.Stop(t.Context()))
		n.see(2, one, two)
		for _, wait := range []time.Duration{0, time.Minute, 2 * time.Hour} {
			time.Sleep(wait)
			same("after the later start has left")
			n.see(2, one, two)
		}
	})
}

// A recorded message that all members have a view counts again when the same view comes back, with keys too. So a
// wait for agreement may end too early. The members that have another view are named within seconds.
func TestARecordedAgreementCountsAgain(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		r := &recorder{Network: n.net}
		keyed := func(o *Options) { o.Gossip.Network, o.Gossip.Keys = r, Keys{hostileKey} }
		all := []*Membership{n.start(1, keyed), n.start(2, keyed), n.start(3, keyed)}
		n.see(3, all...)
		publish := func(fingerprint uint64, some ...*Membership) {
			for _, m := range some {
				members, _ := m.Members()
				Drive(m).Publish(fingerprint, "c", members, nil)
			}
		}
		agreed := func() bool {
			for _, m := range all {
				if !Drive(m).Agreement().Complete {
					return false
				}
			}
			return true
		}
		publish(7, all...)
		n.await("all agree", agreed)
		r.end()
		publish(8, all...)
		n.await("all agree", agreed)

		publish(7, all[0]) // the others still hold the other view
		time.Sleep(100 * time.Millisecond)
		require.False(t, Drive(all[0]).Agreement().Complete)
		r.replay(t, addrOf(1).String())
		select {
		case <-Drive(all[0]).Agreed():
		default:
			t.Error("the limit that docs/security.md names does not exist any more")
		}
		n.await("the others are named", func() bool {
			s := Drive(all[0]).Agreement()
			return !s.Complete && len(s.Differing) == 2
		})
		require.LessOrEqual(t, time.Since(Drive(all[0]).Agreement().Since), 15*time.Second)
		publish(7, all[1:]...)
		n.await("all agree", agreed)
	})
}

// With keys, what a start has sent does not bring it into the list of a member that has started since it left, and
// does not know of it.
func TestReplayDoesNotDeceiveANewMember(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of gossip")
	}
	inNet(t, func(t *testing.T, n *testNet) {
		r := &recorder{Network: n.net}
		keyed := func(o *Options) { o.Gossip.Network, o.Gossip.Keys = r, Keys{hostileKey} }
		one, two, three := n.start(1, keyed), n.start(2, keyed), n.start(3, keyed)
		n.see(3, one, two, three)
		time.Sleep(freshStart) // with exchanges
		require.NoError(t, three.Stop(t.Context()))
		r.end()
		n.see(2, one, two)
		time.Sleep(2 * time.Hour) // exchanges do not tell of three any more
		four := n.start(4, func(o *Options) { o.Gossip.Keys = Keys{hostileKey} })
		n.see(3, one, two, four)
		for _, wait := range []time.Duration{0, time.Minute, time.Hour} {
			time.Sleep(wait)
			before := four.registry.stats()
			r.replay(t, addrOf(4).String())
			time.Sleep(time.Second)
			after := four.registry.stats()
			require.Equal(t, before.Joined+before.Rejoined, after.Joined+after.Rejoined)
			n.see(3, one, two, four)
		}
	})
}

// With keys, members that have run for long and did not know each other find each other.
func TestOldMembersMeetWithKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of gossip")
	}
	inNet(t, func(t *testing.T, n *testNet) {
		keyed := func(o *Options) { o.Gossip.Keys = Keys{hostileKey} }
		left, right := []netip.AddrPort{addrOf(1), addrOf(3)}, []netip.AddrPort{addrOf(2), addrOf(4)}
		require.NoError(t, n.net.Partition(left, right))
		one, two := n.start(1, keyed), n.start(2, keyed)
		three, four := n.start(3, keyed), n.start(4, keyed)
		n.see(2, one, two, three, four)
		time.Sleep(time.Hour)
		n.net.Heal()
		n.see(4, one, two, three, four)
	})
}
