package cluster_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport/api"
)

// at makes a member of the same NodeID at another address.
func at(i int) edit { return func(o *cluster.Options) { o.GossipAddr = gossipAddr(i) } }

// wins requires that all members take winner for n3, and that loser owns nothing.
func wins(t *testing.T, b *testNet, winner, loser *cluster.Cluster, others ...*cluster.Cluster) {
	t.Helper()
	address := winner.Local().Addr
	for _, c := range append([]*cluster.Cluster{winner, loser}, others...) {
		b.await("one address for n3", func() bool {
			m, ok := c.Member("n3")
			return ok && m.Addr == address && len(c.Members()) == 1+len(others) && c.Fingerprint() == winner.Fingerprint()
		})
		require.NoError(t, c.WaitConverged(within(t, patience)))
	}
	p := problem(t, loser, api.ProblemSuperseded)
	require.Equal(t, `a later process of NodeID "n3", at `+address.String()+
		", has replaced this one: this process owns nothing; stop one of the two", p.Message)
	require.True(t, p.Unready)
	require.False(t, loser.Health().Ready)
	require.True(t, winner.Health().Ready, "%+v", winner.Health().Problems)

	// Lookups at the loser return the winner.
	for _, key := range []string{"a", "b", "c", "d"} {
		require.Equal(t, winner.Lookup(key).Token(), loser.Lookup(key).Token())
		require.True(t, loser.Lookup(key).Owns("n3"), "three members own everything")
		m, ok := loser.Member("n3")
		require.True(t, ok)
		require.Equal(t, address, m.Addr)
	}
	time.Sleep(30 * time.Second)
	require.Contains(t, problem(t, winner, api.ProblemDuplicate).Message, "runs at "+loser.Local().Addr.String()+": it owns nothing")
	require.True(t, winner.Health().Ready)
	require.Contains(t, problems(loser), api.ProblemSuperseded, "it does not fight back")
}

func TestTwoProcessesOfOneNodeID(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		second := b.start(3, at(30))
		wins(t, b, second, all[2], all[:2]...)

		// When the winner is gone, the loser is the member of that NodeID again.
		require.NoError(t, second.Stop(within(t, patience)))
		require.NoError(t, all[2].WaitReady(within(t, patience)))
		b.agree(all...)
		require.Empty(t, problems(all[2]))
	})
}

// A process that is made an hour before another one has a start number that is an hour
// lower, as a process whose clock is slow would have.
func TestTwoProcessesOfOneNodeIDAndASlowClock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		slow := b.make(3, at(30))
		time.Sleep(time.Hour)
		all := b.startMany(3)
		require.Less(t, slow.Local().Start.Number, all[2].Local().Start.Number)
		require.NoError(t, slow.Start(t.Context()))
		require.Greater(t, slow.Local().Start.Number, all[2].Local().Start.Number, "it was started later, whatever its clock says")
		wins(t, b, slow, all[2], all[:2]...)
	})
}

// On two sides of a split network neither process sees the start number of the other.
// The process with the higher number wins when the sides meet.
func TestTwoProcessesOfOneNodeIDMeet(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		slow := b.make(3)
		time.Sleep(time.Hour)
		b.net.Isolate(addrPort(30))
		all := b.startMany(2)
		fast := b.start(3, at(30))
		require.NoError(t, slow.Start(t.Context()))
		b.agree(append(all, slow)...)
		require.True(t, fast.Health().Ready, "alone, and unaware")
		b.net.Heal()
		wins(t, b, fast, slow, all...)
	})
}

func TestARestartOnASlowClockWinsOverItsCorpse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		slow := b.make(3)
		time.Sleep(time.Hour)
		all := b.startMany(2)
		crashed := b.start(3)
		b.agree(append(all, crashed)...)
		b.net.Crash(addrPort(3))
		begun := time.Now()
		require.NoError(t, slow.Start(t.Context()))
		require.Greater(t, slow.Local().Start.Number, crashed.Local().Start.Number)
		b.agree(append(all, slow)...)
		require.Less(t, time.Since(begun), 3*time.Second, "without waiting for the corpse to be noticed")
		require.True(t, slow.Health().Ready)
		require.NotContains(t, problems(slow), api.ProblemDuplicate, "a corpse is no duplicate")
		time.Sleep(30 * time.Second)
		b.agree(append(all, slow)...)
		require.Empty(t, problems(slow))
	})
}

// The older of two live processes of one NodeID begins no handoff for as long as the newer
// one lives, and goes on when it has left.
func TestASupersededProcessMovesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		var all []*cluster.Cluster
		for i := 1; i <= 2; i++ {
			c, _ := b.startStore(sh, i)
			all = append(all, c)
		}
		b.still(all...)
		full := &store{shelf: sh, data: make(map[int]map[string]int), released: make(map[int]int)}
		full.fault = func(context.Context, int) error { return errors.New("the disk is full") }
		older := b.make(3, func(o *cluster.Options) { o.Handoff.Mover = full })
		require.NoError(t, older.Start(t.Context()))
		calls := func() int {
			full.mu.Lock()
			defer full.mu.Unlock()
			return full.received
		}
		b.await("it tries", func() bool { return calls() > 64 })

		newer, _ := b.startStore(sh, 3, at(30))
		b.await("it is superseded", func() bool { return slices.Contains(problems(older), api.ProblemSuperseded) })
		b.still(append(all, newer)...)
		before := calls()
		time.Sleep(time.Minute)
		require.Equal(t, before, calls())

		require.NoError(t, newer.Stop(within(t, patience)))
		b.await("it tries again", func() bool { return calls() > before })
	})
}
