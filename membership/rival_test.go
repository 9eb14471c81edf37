package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// behind returns an edit of the options of a member: its clock is behind by d.
func behind(d time.Duration) func(*Options) {
	return func(o *Options) { o.now = func() time.Time { return time.Now().Add(-d) } }
}

func onAddr(i int) func(*Options) { return func(o *Options) { o.GossipAddr = addrOf(i).String() } }

// speaks waits until all members list one n3: the start of the winner, at its address.
func (n *testNet) speaks(winner *Membership, all ...*Membership) {
	n.t.Helper()
	n.see(3, all...)
	n.await("the winner speaks for n3", func() bool {
		for _, m := range all {
			if got, ok := m.registry.member("n3"); !ok || got.Start != winner.Local().Start || got.Addr != winner.Local().Addr {
				return false
			}
		}
		return true
	})
}

func TestASlowClockDoesNotLoseToWhatItReplaces(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1, func(o *Options) { o.Discovery = nil }), n.start(2)
		live := n.start(3)
		slow := n.start(3, behind(time.Hour), onAddr(30))
		require.Positive(t, slow.Local().Start.Compare(live.Local().Start))
		require.WithinDuration(t, time.Now().Add(-time.Hour), slow.Local().Started, time.Minute, "what its clock says is not touched")
		n.speaks(slow, first, second, live, slow)
		require.Equal(t, slow.Local().Start, Drive(live).Rivals()[0].Start, "the loser knows its rival")
		require.Equal(t, live.Local().Start, Drive(slow).Rivals()[0].Start)
		require.Negative(t, Drive(slow).Rivals()[0].Start.Compare(slow.Local().Start))
		require.Empty(t, Drive(first).Rivals())

		// The same after the earlier process has ended.
		n.net.Crash(addrOf(30))
		again := n.start(3, behind(2*time.Hour), onAddr(31))
		n.speaks(again, first, second, live, again)
		require.NoError(t, live.Stop(t.Context()))
		require.NoError(t, again.Stop(t.Context()))
		n.see(2, first, second)
	})
}

// Two processes that start at the same time on the same clock are ordered by their
// nonces.
func TestTwoStartsAtOnce(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		first, second := n.start(1, func(o *Options) { o.Discovery = nil }), n.start(2)
		one, other := n.make(3, onAddr(30)), n.make(3, onAddr(31))
		errs := make(chan error, 2)
		for _, m := range []*Membership{one, other} {
			go func() { errs <- m.Start(t.Context()) }()
		}
		require.NoError(t, <-errs)
		require.NoError(t, <-errs)
		winner := one
		if other.Local().Start.Compare(one.Local().Start) > 0 {
			winner = other
		}
		n.speaks(winner, first, second, one, other)
	})
}
