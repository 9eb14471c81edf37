package membership

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// inBubbleWithoutUDP runs a test in virtual time over a network that drops all packets.
func inBubbleWithoutUDP(t *testing.T, run func(t *testing.T, network *memnet.Network, add func(*Membership))) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		lossy, err := memnet.New(memnet.Options{Latency: time.Millisecond, PacketLoss: 1})
		require.NoError(t, err)
		run(t, lossy, add)
	})
}

func overTCP(o Options) Options {
	o.Gossip.TCPOnly = true
	return o
}

// Where UDP is blocked, members with TCPOnly gossip as others do: they notice a crash in time, have
// no trouble, and log no complaint.
func TestTCPOnly(t *testing.T) {
	inBubbleWithoutUDP(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		logged := newLineLog(slog.LevelWarn)
		var all []*Membership
		for i := 1; i <= 5; i++ {
			o := overTCP(joinOptions(network, i, "10.0.0.1:7946"))
			o.Logger = slog.New(logged)
			all = append(all, started(t, o))
		}
		for _, m := range all[:4] {
			add(m)
		}
		time.Sleep(5 * time.Minute)
		for _, m := range all {
			require.Empty(t, m.troubles.list())
			require.Zero(t, m.stats().PacketsDropped)
			require.Zero(t, m.stats().Failed)
		}
		require.Empty(t, logged.take())
		network.Crash(all[4].Local().Addr)
		all[4].shutdown()
		time.Sleep(15 * time.Second)
		for _, m := range all[:4] {
			found, _ := m.Members()
			require.Len(t, found, 4)
		}
	})
}

// Members with other keys are named over TCP too, although the port of a stream is not that of its
// sender.
func TestTCPOnlyNamesAMemberWithOtherKeys(t *testing.T) {
	inBubbleWithoutUDP(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		old, next := []byte("0123456789abcdef"), []byte("fedcba9876543210")
		var all []*Membership
		for i := 1; i <= 4; i++ {
			o := overTCP(joinOptions(network, i, "10.0.0.1:7946"))
			o.Gossip.Keys = Keys{old, next}
			all = append(all, started(t, o))
			add(all[i-1])
		}
		time.Sleep(time.Minute)
		require.NoError(t, all[0].UseKey(next))
		require.NoError(t, all[1].UseKey(next))
		for i, m := range all {
			require.NoError(t, m.RemoveKey([][]byte{old, old, next, next}[i]))
		}
		time.Sleep(15 * time.Second)
		for _, m := range all {
			require.Contains(t, fmt.Sprint(m.troubles.list()), troubleRefused, m.settings.NodeID)
		}
	})
}

// A stranger that knows the name of the cluster sends packets over a stream. They are refused as
// those that arrive over UDP are.
func TestTCPOnlyRefusesStrangers(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		o := overTCP(joinOptions(network, 1))
		o.Gossip.Keys = Keys{[]byte("0123456789abcdef")}
		m := started(t, o)
		add(m)
		stranger, err := network.Listen(netip.MustParseAddrPort("10.0.0.9:7946"), log.New(io.Discard, "", 0))
		require.NoError(t, err)
		send := func(hello string, packets ...string) {
			conn, err := stranger.DialTimeout("10.0.0.1:7946", time.Second)
			require.NoError(t, err)
			b := []byte(hello)
			for _, p := range packets {
				b = append(binary.BigEndian.AppendUint16(b, uint16(len(p))), p...)
			}
			_, err = conn.Write(b)
			require.NoError(t, err)
			time.Sleep(time.Second)
			synctest.Wait()
			require.NoError(t, conn.Close())
		}
		const hello, label = "\xC2ck\x01\x1f\x0a\x06orders", "\xF4\x06orders"
		send(hello, label+"\x00"+strings.Repeat("\xff", 100), label+"\x02"+strings.Repeat("\xff", 100), "\x04plain") // other versions, and no encryption
		require.EqualValues(t, 3, m.stats().Refused.OtherCipher)
		send("\xC2ck\x01\x1f\x0a\x08invoices", label+"\x01x")
		require.EqualValues(t, 1, m.stats().Refused.OtherCluster)
		send(hello, "")
		send("\xC2xx\x01\x00\x00\x00")
		require.EqualValues(t, 2, m.stats().Refused.Malformed)
		send(label + "\x05no encryption") // a stream of memberlist, on which the guard has the last word
		require.Empty(t, m.registry.others())
		require.NoError(t, stranger.Shutdown())
	})
}

// While a cluster changes to TCPOnly, members that have it and members that do not see each other, and
// none counts as failed.
func TestTCPOnlyBesideMembersWithoutIt(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		var all []*Membership
		for i := 1; i <= 6; i++ {
			o := joinOptions(network, i, "10.0.0.1:7946")
			o.Gossip.TCPOnly = i%2 == 0
			all = append(all, started(t, o))
			add(all[i-1])
		}
		lasts := 10 * time.Minute
		if testing.Short() {
			lasts = 2 * time.Minute
		}
		time.Sleep(lasts)
		for _, m := range all {
			found, _ := m.Members()
			require.Len(t, found, 6)
			require.Zero(t, m.stats().Failed, m.settings.NodeID)
		}
	})
}

// Real sockets: members find each other, and a Stop leaves nothing behind.
func TestTCPOnlyOverSockets(t *testing.T) {
	var seeds []string
	var all []*Membership
	for i := range 4 {
		m := started(t, Options{
			ClusterName: "orders", NodeID: fmt.Sprint("n", i), GossipAddr: "127.0.0.1:0", Gossip: GossipOptions{Profile: Local, TCPOnly: true},
			PartitionCount: 16, Configurations: []string{"x"}, Discovery: Static(seeds...), Logger: slog.New(slog.DiscardHandler),
		})
		t.Cleanup(func() { _ = m.Stop(context.Background()) })
		seeds = append(seeds[:0], m.Local().Addr.String())
		all = append(all, m)
	}
	require.NoError(t, all[0].Update(t.Context(), func(a *Attributes) { a.Metadata = map[string]string{"said": "this"} }))
	for _, m := range all {
		require.Eventually(t, func() bool {
			found, _ := m.Members()
			return len(found) == 4 && found[0].Metadata["said"] == "this"
		}, 20*time.Second, 10*time.Millisecond)
	}
	for _, m := range all {
		require.NoError(t, m.Stop(t.Context()))
	}
}
