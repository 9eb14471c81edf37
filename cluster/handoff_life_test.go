package cluster_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// still waits until the members are active, nothing moves, and all of them see that. A member
// that has just become active owns in its own view before the others know.
func (b *testNet) still(all ...*cluster.Cluster) {
	b.t.Helper()
	b.agree(all...)
	defer b.agree(all...)
	b.await("nothing moves", func() bool {
		for _, c := range all {
			if h := c.Handoff().State(); c.Local().State != membership.Active || h.Receiving+h.Releasing > 0 {
				return false
			}
		}
		return true
	})
}

// A call of the user's code that fails or panics is contained, reported, and made
// again.
func TestHandoffFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		s := &store{shelf: sh, data: make(map[int]map[string]int), released: make(map[int]int)}
		calls := make(map[int]int)
		s.fault = func(_ context.Context, p int) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			calls[p]++
			switch {
			case p == 3 && calls[p] == 1:
				panic("made up")
			case p == 4 && calls[p] <= 2:
				return errors.New("disk full")
			}
			return nil
		}
		c := b.make(2, func(o *cluster.Options) { o.Handoff.Mover = s })
		sh.mu.Lock()
		sh.stores[c.Local().Start.Nonce] = s
		sh.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		events := c.Events(ctx)
		require.NoError(t, c.Start(t.Context()))
		require.Equal(t, membership.Joining, c.Local().State, "it has nothing yet")
		b.still(first, c)
		require.True(t, received(c, 3) && received(c, 4))
		require.EqualValues(t, 3, c.Handoff().State().Failed)
		time.AfterFunc(time.Second, cancel)
		kinds := make(map[cluster.EventKind]int)
		var messages []string
		for e := range events {
			if e.Handoff != nil {
				kinds[e.Kind]++
				if e.Kind == cluster.HandoffFailed {
					messages = append(messages, e.Err.Error())
				}
			}
		}
		slices.Sort(messages)
		require.Equal(t, []string{"cluster: receiving partition 3: panic: made up",
			"cluster: receiving partition 4: disk full", "cluster: receiving partition 4: disk full"}, messages)
		require.Positive(t, kinds[cluster.HandoffStarted])
		require.Equal(t, kinds[cluster.HandoffStarted], kinds[cluster.HandoffCompleted])
	})
}

// No member waits for a member that is gone: a call of Receive from it is cancelled.
// Health reports a partition that moves for long.
func TestHandoffOverdue(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		first, _ := b.startStore(sh, 1)
		b.still(first)
		s := &store{shelf: sh, data: make(map[int]map[string]int), released: make(map[int]int)}
		s.fault = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		c := b.make(2, func(o *cluster.Options) {
			o.Handoff.Mover = s
			o.Handoff.CallLimit, o.Handoff.OverdueAfter = 5*time.Second, 10*time.Second
		})
		require.NoError(t, c.Start(t.Context()))
		b.await("it is overdue", func() bool { return slices.Contains(problems(c), api.ProblemHandoffOverdue) })
		require.Equal(t, "this member owns nothing yet: it has 64 partitions to receive", problem(t, c, api.ProblemJoining).Message)
		require.Equal(t, 64, c.Handoff().State().Overdue)
		require.NoError(t, c.Stop(t.Context()), "it does not wait for what would never end")
	})
}

// A member that restarts empty before any other member notices does not serve until it
// has received the data that it lost.
func TestAQuickEmptyRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		all, members, stores := b.startStores(sh, 3)
		b.still(all...)
		for i := range 40 {
			put(t, stores, members, all[0], string(rune('a'+i)), i+1)
		}
		b.net.Crash(addrPort(3))
		c, s := b.startStore(sh, 3, func(o *cluster.Options) { o.GossipAddr = gossipAddr(5) })
		members["n3"], stores["n3"] = c, s
		p := c.Lookup("a")
		require.Error(t, c.Handoff().Serve(p.Partition(), p.Token()), "it has nothing yet")
		b.still(all[0], all[1], c)
		for i := range 40 {
			p := c.Lookup(string(rune('a' + i)))
			require.NoError(t, c.Handoff().Serve(p.Partition(), p.Token()))
			require.Equal(t, i+1, s.copy(p.Partition())[string(rune('a'+i))])
		}
	})
}

// When W owners that acknowledged a write lose their data at once, health names the
// partitions that may have lost it. They do not count as received until AcceptLoss is
// called.
func TestPossibleLossIsSaid(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		var all []*cluster.Cluster
		for i := 1; i <= 5; i++ {
			c, _ := b.startStore(sh, i)
			all = append(all, c)
		}
		b.still(all...)
		b.net.Crash(addrPort(4))
		b.net.Crash(addrPort(5))
		rest := all[:3]
		b.await("they are gone", func() bool { return len(rest[0].Members()) == 3 })
		b.await("loss is said", func() bool { return slices.Contains(problems(rest[0]), api.ProblemPossibleLoss) })
		require.True(t, problem(t, rest[0], api.ProblemPossibleLoss).Critical)
		time.Sleep(5 * time.Minute)
		for _, c := range rest {
			for _, p := range c.Handoff().State().Lost {
				require.False(t, received(c, p))
				require.True(t, c.Handoff().AcceptLoss(p))
				require.False(t, c.Handoff().AcceptLoss(p), "it is accepted")
			}
		}
		b.still(rest...)
		for p := range 64 {
			require.True(t, received(rest[0], p), "three members own everything")
		}
		require.False(t, rest[0].Handoff().AcceptLoss(0), "nothing is lost there")
	})
}

// The number of a partition comes from requests and from operators. One out of range is answered like
// one that this member does not own. So is a token of zero.
func TestPartitionsOutOfRange(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		with, _ := b.startStore(newShelf(), 1)
		b.still(with)
		for _, c := range []*cluster.Cluster{with, b.make(2)} {
			for _, p := range []int{-1, 64, math.MinInt, math.MaxInt, 3} {
				done, err := c.Handoff().Admit(p, 0)
				require.Nil(t, done)
				require.Error(t, err)
				var differ *cluster.TokenError
				require.ErrorAs(t, c.Handoff().Check(p, 0), &differ)
				require.ErrorAs(t, c.Handoff().Serve(p, 0), &differ)
				require.ErrorAs(t, c.Handoff().Received(p, 0), &differ)
				require.NotPanics(t, func() { require.False(t, c.Handoff().AcceptLoss(p)) })
			}
		}
	})
}

func TestAcceptAndServeWithoutHandoff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(4)
		p := all[0].Lookup("k")
		done, err := all[0].Handoff().Admit(p.Partition(), p.Token()+1)
		require.Nil(t, done)
		var differ *cluster.TokenError
		require.ErrorAs(t, err, &differ)
		require.Equal(t, cluster.TokenError{Partition: p.Partition(), Ours: p.Token(), Theirs: p.Token() + 1}, *differ)
		require.ErrorAs(t, all[0].Handoff().Check(p.Partition(), 1), &differ)
		require.NoError(t, all[0].Handoff().Check(p.Partition(), p.Token()))
		for _, c := range all {
			done, err := c.Handoff().Admit(p.Partition(), p.Token())
			if !p.Owns(c.Local().ID) {
				require.ErrorIs(t, err, cluster.ErrNotOwner)
				require.ErrorIs(t, c.Handoff().Serve(p.Partition(), p.Token()), cluster.ErrNotOwner)
				require.False(t, received(c, p.Partition()))
				continue
			}
			require.NoError(t, err)
			done()
			require.NoError(t, c.Handoff().Serve(p.Partition(), p.Token()))
		}
		require.Zero(t, all[0].Handoff().State())
	})
}
