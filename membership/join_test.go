package membership

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func joinOptions(network Network, i int, seeds ...string) Options {
	return Options{
		ClusterName: "orders", NodeID: fmt.Sprintf("n%d", i), GossipAddr: fmt.Sprintf("10.0.0.%d:7946", i),
		PartitionCount: 16, Configurations: []string{"x"}, Gossip: GossipOptions{Network: network},
		Discovery: Static(seeds...), Logger: slog.New(slog.DiscardHandler),
	}
}

// A joining member learns of all members in one exchange. It does not exchange members with each
// of them.
func TestOneExchangeIsEnoughToJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Latency: time.Millisecond})
		require.NoError(t, err)
		const members = 20
		var seeds []string
		for i := 1; i <= members; i++ {
			seeds = append(seeds, fmt.Sprintf("10.0.0.%d:7946", i))
		}
		var all []*Membership
		for i := 1; i <= members; i++ {
			o := joinOptions(network, i, seeds[:i]...)
			o.Gossip.NoTethers = true // they dial too
			m, err := New(o)
			require.NoError(t, err)
			before := network.Stats().Dials
			require.NoError(t, m.Start(t.Context()))
			require.LessOrEqual(t, network.Stats().Dials-before, uint64(searchParallel+2+4), "member %d", i) // the other dials check whether members are reached
			all = append(all, m)
		}
		for _, m := range all {
			require.NoError(t, m.Stop(t.Context()))
		}
		time.Sleep(30 * time.Second)
	})
}

// Seeds that do not answer do not delay a join through the seed that answers.
func TestSilentSeedsDoNotHoldUpAJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Latency: time.Millisecond})
		require.NoError(t, err)
		first, err := New(joinOptions(network, 1))
		require.NoError(t, err)
		require.NoError(t, first.Start(t.Context()))
		seeds := []string{"10.0.0.1:7946"}
		for i := 100; i < 110; i++ {
			silent := netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:7946", i))
			network.Isolate(silent)
			seeds = append(seeds, silent.String())
		}
		second, err := New(joinOptions(network, 2, seeds...))
		require.NoError(t, err)
		begun := time.Now()
		require.NoError(t, second.Start(t.Context()))
		require.Less(t, time.Since(begun), 4*time.Second, "a dial to a silent address takes 5 seconds")
		members, _ := second.Members()
		require.Len(t, members, 2)
		for _, m := range []*Membership{first, second} {
			require.NoError(t, m.Stop(t.Context()))
		}
		time.Sleep(30 * time.Second)
	})
}

// The first packets to every seed are lost. A dial then fails only after 5 seconds. For the same
// time a member looks for a cluster before it goes ahead alone.
func TestAJoinDialsAgainBeforeItGoesAheadAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Latency: time.Millisecond})
		require.NoError(t, err)
		seeds := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}
		var all []*Membership
		for i := range 3 {
			m, err := New(joinOptions(network, i+1, seeds[:i]...))
			require.NoError(t, err)
			require.NoError(t, m.Start(t.Context()))
			all = append(all, m)
		}
		require.NoError(t, network.SetStreamLoss(1))
		time.AfterFunc(300*time.Millisecond, func() { _ = network.SetStreamLoss(0) })
		late, err := New(joinOptions(network, 4, seeds...))
		require.NoError(t, err)
		begun := time.Now()
		require.NoError(t, late.Start(t.Context()))
		members, _ := late.Members()
		require.Len(t, members, 4, "it went ahead alone")
		require.Less(t, time.Since(begun), 3*time.Second)
		for _, m := range append(all, late) {
			require.NoError(t, m.Stop(t.Context()))
		}
		time.Sleep(30 * time.Second)
	})
}

// The context of a start ends after other members have accepted the new member. The other members
// then learn that it leaves.
func TestAStartThatIsGivenUpIsALeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := memnet.New(memnet.Options{Latency: time.Millisecond})
		require.NoError(t, err)
		first, err := New(joinOptions(network, 1))
		require.NoError(t, err)
		require.NoError(t, first.Start(t.Context()))
		Drive(first).TakeEvents()
		second, err := New(joinOptions(network, 2, "10.0.0.1:7946"))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, second.Start(ctx), context.DeadlineExceeded)
		time.Sleep(time.Second)
		var kinds []eventKind
		for _, e := range Drive(first).TakeEvents() {
			kinds = append(kinds, e.Kind)
		}
		require.Equal(t, []eventKind{eventJoined, eventLeaving, eventLeft}, kinds)
		require.NoError(t, first.Stop(t.Context()))
		time.Sleep(30 * time.Second)
	})
}

// Discovery of a large cluster names more addresses than one search dials. Each search dials others of them, so a member
// behind many addresses that do not answer, or that are known, is found. A long answer is no problem.
func TestDiscoveryNamesManyAddresses(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one := n.start(1, func(o *Options) { o.Discovery = Static(addrOf(1).String()) })
		two := n.start(2, func(o *Options) {
			o.Discovery = DiscoveryFunc(func(context.Context) ([]string, error) {
				var all []string
				for i := range 2 * maxSeeds {
					all = append(all, fmt.Sprintf("10.1.%d.%d:7946", i/256, i%256))
				}
				return append(all, addrOf(1).String()), nil
			})
		})
		n.await("they meet", func() bool { return one.registry.countOthers() == 1 && two.registry.countOthers() == 1 })
		require.Empty(t, discoveryTrouble(two))
	})
}
