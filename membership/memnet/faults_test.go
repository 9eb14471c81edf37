package memnet_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// reachability lists, for transports named a, b, c, …, which one reaches which other
// one.
func reachability(t *testing.T, transports ...memberlist.NodeAwareTransport) string {
	t.Helper()
	var pairs []string
	for i, from := range transports {
		for j, to := range transports {
			if i != j && reaches(t, from, to) {
				pairs = append(pairs, string([]byte{byte('a' + i), byte('a' + j)}))
			}
		}
	}
	return strings.Join(pairs, " ")
}

func TestCuts(t *testing.T) {
	const all = "ab ac ad ba bc bd ca cb cd da db dc"
	type addrs = []netip.AddrPort
	partition := func(groups ...[]netip.AddrPort) func(*testing.T, *memnet.Network) {
		return func(t *testing.T, n *memnet.Network) { require.NoError(t, n.Partition(groups...)) }
	}
	tests := map[string]struct {
		cut  func(*testing.T, *memnet.Network)
		want string
	}{
		"nothing": {func(*testing.T, *memnet.Network) {}, all},
		"a minority against the rest": {
			partition(addrs{hostA}), "bc bd cb cd db dc",
		},
		"two groups": {
			partition(addrs{hostA, hostB}, addrs{hostC, hostD}), "ab ba cd dc",
		},
		"two groups and the rest": {
			partition(addrs{hostA}, addrs{hostB}), "cd dc",
		},
		"an address in another form": {
			partition(addrs{netip.MustParseAddrPort("[::ffff:10.0.0.1]:7946")}), "bc bd cb cd db dc",
		},
		"a second partition replaces the first": {
			func(t *testing.T, n *memnet.Network) {
				require.NoError(t, n.Partition(addrs{hostA}))
				require.NoError(t, n.Partition(addrs{hostA, hostB}))
			}, "ab ba cd dc",
		},
		"an empty partition ends it": {
			func(t *testing.T, n *memnet.Network) {
				require.NoError(t, n.Partition(addrs{hostA}))
				require.NoError(t, n.Partition())
			}, all,
		},
		"one way": {
			func(_ *testing.T, n *memnet.Network) { n.Block(hostA, hostB) },
			"ac ad ba bc bd ca cb cd da db dc",
		},
		"one way, undone": {
			func(_ *testing.T, n *memnet.Network) {
				n.Block(hostA, hostB)
				n.Block(hostC, hostD)
				n.Unblock(hostA, hostB)
				n.Unblock(hostB, hostA)
			}, "ab ac ad ba bc bd ca cb da db dc",
		},
		"isolated": {
			func(_ *testing.T, n *memnet.Network) { n.Isolate(hostB); n.Isolate(hostC) },
			"ad da",
		},
		"isolated, undone": {
			func(_ *testing.T, n *memnet.Network) { n.Isolate(hostA); n.Reconnect(hostA); n.Reconnect(hostB) },
			all,
		},
		"everything at once": {
			func(t *testing.T, n *memnet.Network) {
				require.NoError(t, n.Partition(addrs{hostA}))
				n.Isolate(hostB)
				n.Block(hostC, hostD)
			}, "dc",
		},
		"healed": {
			func(t *testing.T, n *memnet.Network) {
				require.NoError(t, n.Partition(addrs{hostA}))
				n.Isolate(hostB)
				n.Block(hostC, hostD)
				n.Heal()
			}, all,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, memnet.Options{})
			a, b, c, d := listen(t, n, hostA), listen(t, n, hostB), listen(t, n, hostC), listen(t, n, hostD)
			test.cut(t, n)
			require.Equal(t, test.want, reachability(t, a, b, c, d))
			s := n.Stats()
			require.Equal(t, s.PacketsSent-s.PacketsDelivered, s.PacketsDropped.Cut)
			require.Equal(t, s.PacketsSent-s.PacketsDelivered, s.PacketsDropped.Total())
		})
	}
}

func TestPartitionRefusesAnAddressInTwoGroups(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	err := n.Partition([]netip.AddrPort{hostA, hostA, hostC}, []netip.AddrPort{hostB, hostC})
	require.EqualError(t, err, "memnet: partition: 10.0.0.3:7946 is in both group 0 and group 1")
	require.True(t, reaches(t, a, b), "nothing changed")
}

func TestCutsOutlastARestart(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a, b := listen(t, n, hostA), listen(t, n, hostB)
	n.Isolate(hostB)
	require.NoError(t, b.Shutdown())
	b = listen(t, n, hostB)
	require.Empty(t, reachability(t, a, b))
	n.Reconnect(hostB)
	require.Equal(t, "ab ba", reachability(t, a, b))
}

func TestACutStopsPacketsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: 10 * time.Millisecond})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		send(t, a, hostB, "sent before")
		time.Sleep(5 * time.Millisecond)
		n.Block(hostA, hostB)
		send(t, a, hostB, "sent during")
		time.Sleep(6 * time.Millisecond)
		n.Heal()
		send(t, a, hostB, "sent after")
		time.Sleep(time.Second)
		require.Equal(t, []string{"sent after"}, received(b))
		require.Equal(t, uint64(2), n.Stats().PacketsDropped.Cut)
	})
}

func TestCrashAndRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, old := listen(t, n, hostA), listen(t, n, hostB)
		send(t, a, hostB, "unread")
		n.Crash(hostB)

		require.Empty(t, received(old), "what it had not read is gone with it")
		require.Empty(t, reachability(t, a, old))
		for _, dial := range []struct {
			from memberlist.Transport
			to   netip.AddrPort
		}{{a, hostB}, {old, hostA}} {
			require.Equal(t, 7*time.Second, elapsed(func() {
				_, err := dial.from.DialTimeout(dial.to.String(), 7*time.Second)
				requireTimeout(t, err)
			}))
		}
		n.Heal()
		require.Empty(t, reachability(t, a, old), "that heals cuts only")

		restarted := listen(t, n, hostB)
		require.Equal(t, "ac ca", reachability(t, a, old, restarted), "the old one stays dead")
		connect(t, a, restarted)
		connect(t, restarted, a)
		require.NoError(t, old.Shutdown())
		require.Equal(t, "ab ba", reachability(t, a, restarted), "the address is no longer the old one's to free")

		s := n.Stats()
		require.Equal(t, memnet.DialFailures{Crashed: 2}, s.DialsFailed)
		require.Equal(t, s.PacketsSent-s.PacketsDelivered, s.PacketsDropped.Crashed)
	})
}

func TestACrashStopsPacketsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Latency: time.Second})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		send(t, a, hostB, "last words")
		send(t, b, hostA, "to the dead")
		n.Crash(hostA)
		time.Sleep(2 * time.Second)
		require.Empty(t, received(b))
		require.Equal(t, memnet.PacketDrops{Crashed: 2}, n.Stats().PacketsDropped)
	})
}

func TestCrashOfAnAddressWithoutATransport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a := listen(t, n, hostA)
		n.Crash(hostB)
		require.Equal(t, time.Second, elapsed(func() {
			_, err := a.DialTimeout(hostB.String(), time.Second)
			requireTimeout(t, err)
		}))
		send(t, a, hostB, "x")
		require.Equal(t, memnet.PacketDrops{Crashed: 1}, n.Stats().PacketsDropped)
		require.True(t, reaches(t, a, listen(t, n, hostB)))
	})
}

func TestACrashedTransportIsStillShutDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		n.Crash(hostA)
		done := make(chan error, 2)
		go func() {
			_, err := dialled.Read(make([]byte, 1))
			done <- err
		}()
		go func() {
			_, err := a.DialTimeout(hostB.String(), time.Hour)
			done <- err
		}()
		synctest.Wait()
		require.Zero(t, elapsed(func() {
			require.NoError(t, a.Shutdown())
			require.Error(t, <-done)
			require.Error(t, <-done)
		}))
		require.NoError(t, accepted.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := accepted.Read(make([]byte, 1))
		requireTimeout(t, err) // the other side gets no news of it even now
	})
}
