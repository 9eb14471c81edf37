package memnet_test

import (
	"fmt"
	"io"
	"log"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

const clusterSize = 30

// clusterAddr is the address of a member by its number.
func clusterAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
}

// startMember starts a memberlist on the network. The configuration is copied.
func startMember(t *testing.T, n *memnet.Network, config memberlist.Config, i int) *memberlist.Memberlist {
	t.Helper()
	logger := log.New(io.Discard, "", 0)
	transport, err := n.Listen(clusterAddr(i), logger)
	require.NoError(t, err)
	config.Name = fmt.Sprintf("m%03d", i)
	config.Transport = transport
	config.Logger = logger
	config.EnableCompression = false
	m, err := memberlist.Create(&config)
	require.NoError(t, err)
	return m
}

// shutDown stops the members and gives their goroutines the time they need.
func shutDown(t *testing.T, members []*memberlist.Memberlist) {
	t.Helper()
	for _, m := range members {
		require.NoError(t, m.Shutdown())
	}
	time.Sleep(30 * time.Second)
}

// awaitSizes waits until each member sees the wanted number of members, up to a limit
// of virtual time, and returns how long it took.
func awaitSizes(t *testing.T, members []*memberlist.Memberlist, want func(i int) int, atMost time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		behind := -1
		for i, m := range members {
			if m.NumMembers() != want(i) {
				behind = i
			}
		}
		if behind < 0 {
			return time.Since(start)
		}
		require.Less(t, time.Since(start), atMost, "member %d sees %d, not %d",
			behind, members[behind].NumMembers(), want(behind))
		time.Sleep(100 * time.Millisecond)
	}
}

func TestAClusterOfMemberlist(t *testing.T) {
	config := memberlist.DefaultLANConfig() // outside of the bubble, because it reads the host name
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{
			Seed: 1, Latency: 500 * time.Microsecond, Jitter: 500 * time.Microsecond, PacketLoss: 0.01,
		})
		var members []*memberlist.Memberlist
		for i := range clusterSize {
			members = append(members, startMember(t, n, *config, i))
		}
		defer func() { shutDown(t, members) }()

		var wg sync.WaitGroup
		for _, m := range members[1:] {
			wg.Go(func() {
				if _, err := m.Join([]string{clusterAddr(0).String()}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all := func(int) int { return clusterSize }
		formed := awaitSizes(t, members, all, time.Minute)

		// A third of the members is cut off: each side declares the other side dead.
		const minority = clusterSize / 3
		var cutOff []netip.AddrPort
		for i := range minority {
			cutOff = append(cutOff, clusterAddr(i))
		}
		require.NoError(t, n.Partition(cutOff))
		parted := awaitSizes(t, members, func(i int) int {
			if i < minority {
				return minority
			}
			return clusterSize - minority
		}, 3*time.Minute)

		n.Heal()
		_, err := members[0].Join([]string{clusterAddr(minority).String()})
		require.NoError(t, err)
		healed := awaitSizes(t, members, all, time.Minute)

		// One member crashes, and another one starts at its address at once.
		const victim = clusterSize - 1
		n.Crash(clusterAddr(victim))
		survivors := members[:victim]
		buried := awaitSizes(t, survivors, func(int) int { return victim }, time.Minute)
		zombie := members[victim]
		members[victim] = startMember(t, n, *config, victim)
		_, err = members[victim].Join([]string{clusterAddr(0).String()})
		require.NoError(t, err)
		restarted := awaitSizes(t, members, all, time.Minute)
		require.NoError(t, zombie.Shutdown())

		s := n.Stats()
		t.Logf("formed in %v, partition seen in %v, healed in %v, crash seen in %v, restarted in %v",
			formed, parted, healed, buried, restarted)
		t.Logf("%+v", s)
		require.NotZero(t, s.PacketsDropped.Lost)
		require.NotZero(t, s.PacketsDropped.Cut)
		require.NotZero(t, s.PacketsDropped.Crashed)
		require.Zero(t, s.PacketsDropped.InboxFull)
		require.NotZero(t, s.LargestPacket)
	})
}

func TestAnIsolatedMemberIsBuriedAlone(t *testing.T) {
	config := memberlist.DefaultLocalConfig()
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{})
		var members []*memberlist.Memberlist
		for i := range 5 {
			members = append(members, startMember(t, n, *config, i))
			_, err := members[i].Join([]string{clusterAddr(0).String()})
			require.NoError(t, err)
		}
		defer func() { shutDown(t, members) }()
		awaitSizes(t, members, func(int) int { return 5 }, time.Minute)
		n.Isolate(clusterAddr(2))
		awaitSizes(t, members, func(i int) int {
			if i == 2 {
				return 1
			}
			return 4
		}, 2*time.Minute)
	})
}
