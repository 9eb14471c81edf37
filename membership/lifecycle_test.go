package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// lingering is how long the goroutines of memberlist may run after its shutdown.
const lingering = 40 * time.Second

// testNet is a network in memory, in virtual time, and the members that were made on it.
type testNet struct {
	t   *testing.T
	net *memnet.Network
	all []*Membership
}

func inNet(t *testing.T, test func(t *testing.T, n *testNet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const seed = 1
		network, err := memnet.New(memnet.Options{Seed: seed, Latency: time.Millisecond})
		require.NoError(t, err)
		t.Log("network seed", seed)
		n := &testNet{t: t, net: network}
		defer func() {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			for _, m := range n.all {
				_ = m.Stop(ctx)
			}
			time.Sleep(lingering)
		}()
		test(t, n)
	})
}

func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7946)
}

// optionsOf returns the options of member i; the first member has i = 1.
func optionsOf(i int) Options {
	return Options{
		ClusterName: "orders", NodeID: fmt.Sprint("n", i), GossipAddr: addrOf(i).String(), Region: "eu", Zone: "a",
		PartitionCount: 64, Configurations: []string{"rf3:rendezvous/1"},
		Discovery: Static(addrOf(1).String(), addrOf(2).String()), Logger: slog.New(slog.DiscardHandler),
	}
}

// make returns member i, which is not started.
func (n *testNet) make(i int, edits ...func(*Options)) *Membership {
	n.t.Helper()
	o := optionsOf(i)
	o.Gossip.Network = n.net
	for _, edit := range edits {
		edit(&o)
	}
	m, err := New(o)
	require.NoError(n.t, err)
	n.all = append(n.all, m)
	return m
}

func (n *testNet) start(i int, edits ...func(*Options)) *Membership {
	n.t.Helper()
	m := n.make(i, edits...)
	require.NoError(n.t, m.Start(n.t.Context()))
	return m
}

// see waits until each of the given members lists count members.
func (n *testNet) see(count int, all ...*Membership) {
	n.t.Helper()
	n.await(fmt.Sprint("all see ", count), func() bool {
		for _, m := range all {
			if members, _ := m.Members(); len(members) != count {
				return false
			}
		}
		return true
	})
}

func (n *testNet) await(what string, condition func() bool) {
	n.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		require.True(n.t, time.Now().Before(deadline), "waited a minute in vain: %s", what)
		time.Sleep(10 * time.Millisecond)
	}
}

// free requires that nothing listens at the address of member i.
func (n *testNet) free(i int) {
	n.t.Helper()
	transport, err := n.net.Listen(addrOf(i), nil)
	require.NoError(n.t, err)
	require.NoError(n.t, transport.Shutdown())
}

func TestMembershipLifecycle(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first := n.make(1)
		members, version := first.Members()
		require.Empty(t, members)
		require.Zero(t, version)
		require.Zero(t, Drive(first).LastSync())
		require.Equal(t, Joining, first.Local().State)
		require.False(t, first.Local().Addr.IsValid())
		n.free(1)
		begun := time.Now()
		require.NoError(t, first.Start(t.Context()))
		require.GreaterOrEqual(t, time.Since(begun), defaultBootstrapTimeout, "n2, a seed, may come")
		require.Equal(t, addrOf(1), first.Local().Addr)
		second := n.start(2)
		n.see(2, first, second)
		require.NotZero(t, Drive(second).LastSync())
		require.NoError(t, Drive(first).SetState(t.Context(), Active))
		n.await("n2 hears it", func() bool { members, _ := second.Members(); return members[0].State == Active })

		require.NoError(t, second.Stop(t.Context()))
		n.free(2)
		n.see(1, first)
		require.NoError(t, Drive(second).SetState(t.Context(), Active), "no other member is there to hear")
		require.NoError(t, second.Stop(ended()), "it is done")
		require.NoError(t, second.Start(t.Context()), "what the one start came to")
	})
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestMembershipStopsAtAnyMoment(t *testing.T) {
	for _, delay := range []time.Duration{0, 1, time.Millisecond, 3 * time.Millisecond, 100 * time.Millisecond, 301 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				n.start(1, func(o *Options) { o.Discovery = nil })
				m := n.make(2)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						if err := m.Start(context.Background()); err != nil && !errors.Is(err, ErrStopped) {
							t.Error(err)
						}
					})
				}
				time.Sleep(delay)
				for range 10 {
					wg.Go(func() {
						if err := m.Stop(context.Background()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				n.free(2)
			})
		})
	}
}

func TestMembershipStopBeforeStart(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		m := n.make(1)
		require.NoError(t, m.Stop(t.Context()))
		require.ErrorIs(t, m.Start(t.Context()), ErrStopped)
		require.NoError(t, m.Stop(t.Context()))
		n.free(1)
	})
}

func TestMembershipStartFails(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		n.start(1, func(o *Options) { o.Discovery = nil })
		taken := n.make(1, func(o *Options) { o.NodeID = "other" })
		require.ErrorIs(t, taken.Start(t.Context()), syscall.EADDRINUSE)
		require.ErrorIs(t, taken.Start(t.Context()), syscall.EADDRINUSE)
		require.NoError(t, taken.Stop(t.Context()))

		late := n.make(2)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, late.Start(ctx), context.DeadlineExceeded)
		n.free(2)
		require.NoError(t, late.Stop(t.Context()))
	})
}

// Start waits for exactly BootstrapTimeout for a seed that runs and does not answer.
func TestBootstrapTimeout(t *testing.T) {
	for _, profile := range []Profile{LAN, WAN, Local} {
		for _, timeout := range []time.Duration{100 * time.Millisecond, 3 * time.Second, 45 * time.Second} {
			t.Run(fmt.Sprint(profile, " ", timeout), func(t *testing.T) {
				inNet(t, func(t *testing.T, n *testNet) {
					other := n.start(1, func(o *Options) { o.Discovery = nil })
					n.net.Isolate(addrOf(1)) // the seed does not even refuse the connection
					m := n.make(2, func(o *Options) { o.BootstrapTimeout, o.Gossip.Profile = timeout, profile })
					begun := time.Now()
					require.NoError(t, m.Start(t.Context()))
					require.Equal(t, timeout, time.Since(begun))
					n.net.Heal()
					n.see(2, m, other)
				})
			})
		}
	}
}

// A seed that appears while Start looks for it is joined.
func TestBootstrapFindsALateSeed(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		other := n.start(1, func(o *Options) { o.Discovery = nil })
		n.net.Isolate(addrOf(1))
		m := n.make(2, func(o *Options) { o.BootstrapTimeout = time.Minute })
		time.AfterFunc(30*time.Second, n.net.Heal)
		begun := time.Now()
		require.NoError(t, m.Start(t.Context()))
		require.GreaterOrEqual(t, time.Since(begun), 30*time.Second)
		members, _ := m.Members()
		require.Len(t, members, 2, "not alone")
		n.see(2, other)
	})
}
