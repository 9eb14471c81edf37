package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Drain of the last member returns at once that there is no successor. The member keeps
// its data, serves it, and hands it over to the next member that joins.
func TestDrainWithoutASuccessor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		last, s := b.startStore(sh, 1)
		b.still(last)
		s.merge(3, map[string]int{"k": 1})
		begun := time.Now()
		for range 2 {
			err := last.Drain(context.Background())
			var left *cluster.NotHandedOverError
			require.ErrorAs(t, err, &left)
			require.ErrorIs(t, err, cluster.ErrNoSuccessor)
			require.EqualError(t, err, "cluster: not handed over: cluster: there is no other member to hand over to: "+
				"64 partitions are here that other members may lack, 0 calls failed so far")
			require.Equal(t, 64, left.Held)
			require.Equal(t, 64, left.Handoff.Stranded)
		}
		require.Less(t, time.Since(begun), 5*time.Second)
		require.Equal(t, membership.Draining, last.Local().State)
		require.True(t, problem(t, last, api.ProblemNotHandedOver).Critical)
		require.Equal(t, "64 partitions cannot go to another member, and their data is here alone: start another member, or give the data up with Stop",
			problem(t, last, api.ProblemNotHandedOver).Message)
		p := last.Ring().Placement(3)
		require.NoError(t, last.Handoff().Serve(3, p.Token()), "it goes on")
		require.Empty(t, s.released)

		next, heir := b.startStore(sh, 2)
		require.NoError(t, last.Drain(within(t, patience)))
		require.NotContains(t, problems(last), api.ProblemNotHandedOver)
		require.Empty(t, s.data)
		require.Equal(t, 1, heir.copy(3)["k"])
		require.NoError(t, last.Stop(t.Context()))
		b.still(next)
	})
}

// Where all members drain there is no member to hand over to. Each Drain says so within seconds.
// The members go on serving, and hand their data over to a member that joins.
func TestDrainOfAll(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		all, members, stores := b.startStores(sh, 4)
		b.still(all...)
		for i := range 30 {
			put(t, stores, members, all[0], fmt.Sprint(i), i+1)
		}
		drain := func(limit time.Duration) []error {
			errs := make([]error, len(all))
			var wg sync.WaitGroup
			for i, c := range all {
				wg.Go(func() { errs[i] = c.Drain(within(t, limit)) })
			}
			wg.Wait()
			return errs
		}
		begun := time.Now()
		errs := drain(5 * patience)
		require.Less(t, time.Since(begun), 6*time.Second)
		for i, err := range errs {
			var left *cluster.NotHandedOverError
			require.ErrorAs(t, err, &left)
			require.ErrorIs(t, err, cluster.ErrNoSuccessor)
			require.Positive(t, left.Held)
			require.Equal(t, left.Held, left.Handoff.Stranded)
			require.Equal(t, membership.Draining, all[i].Local().State)
			require.Contains(t, problems(all[i]), api.ProblemNotHandedOver)
		}
		for i := range 30 {
			copies := 0
			for _, s := range stores {
				if key := fmt.Sprint(i); s.copy(all[0].Lookup(key).Partition())[key] == i+1 {
					copies++
				}
			}
			require.GreaterOrEqual(t, copies, 2, i)
		}
		fifth, heir := b.startStore(sh, 5)
		for _, err := range drain(5 * patience) {
			require.NoError(t, err)
		}
		for i := range 30 {
			require.Equal(t, i+1, heir.copy(fifth.Lookup(fmt.Sprint(i)).Partition())[fmt.Sprint(i)])
		}
	})
}

// leftAlone starts two members and lets the second drain. The first one never completes a merge, and
// crashes while the second one is leaving. Drain has the time limit, and its result arrives in drained.
func (b *testNet) leftAlone(t *testing.T, sh *shelf, limit time.Duration, edits ...edit) (crashed, goes *cluster.Cluster, kept *store, drained chan error) {
	t.Helper()
	crashed, goes, kept, drained = b.leaves(t, sh, limit, edits...)
	require.Equal(t, membership.Leaving, goes.Local().State)
	b.net.Crash(addrPort(1))
	b.await("it is alone", func() bool { return len(goes.Members()) == 1 })
	return crashed, goes, kept, drained
}

// Drain says so when a member that is leaving already is left alone before all data is
// handed over.
func TestLeftAloneWhileLeaving(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		_, goes, kept, drained := b.leftAlone(t, newShelf(), 3*patience)
		b.await("it says so", func() bool { return slices.Contains(problems(goes), api.ProblemNotHandedOver) })
		err := <-drained
		var left *cluster.NotHandedOverError
		require.ErrorAs(t, err, &left)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 64, left.Held)
		require.Equal(t, 1, kept.copy(3)["k"])
		require.ErrorIs(t, goes.Drain(t.Context()), cluster.ErrNoSuccessor)
	})
}

// The last active member starts again empty while another one still waits to hand over to it. The
// leaving member serves until the new start has received everything, however few members are enough to
// found a cluster. No read misses what is here.
func TestTheLastActiveMemberRestartsWhileAnotherLeaves(t *testing.T) {
	for _, enough := range []int{2, 0} {
		inBubble(t, func(t *testing.T, b *testNet) {
			sh := newShelf()
			few := func(o *cluster.Options) { o.Bootstrap.MinMembers = enough }
			stays, goes, _, drained := b.leftAlone(t, sh, 10*patience, few)
			require.NoError(t, stays.Stop(t.Context()))
			again, heir := b.startStore(sh, 1, few)
			reads := func() {
				p := again.Ring().Placement(3)
				if again.Handoff().Serve(3, p.Token()) == nil {
					require.Equal(t, 1, heir.copy(3)["k"], "it serves without what is acknowledged")
				}
			}
			require.NoError(t, during(10*time.Millisecond, reads, func() error { return <-drained }))
			require.Equal(t, 1, heir.copy(3)["k"])
			require.NoError(t, goes.Stop(t.Context()))
			b.still(again)
		})
	}
}
