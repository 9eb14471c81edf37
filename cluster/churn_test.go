package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// testBuilder derives views of testMembers.
func testBuilder() *view.Builder {
	return &view.Builder{Configurations: map[string]view.Configuration{
		"rf3:balanced/3": {Config: ring.Config{PartitionCount: 64, ReplicationFactor: 3, Strategy: rebalance.Balanced{}}},
	}}
}

// derived is the view of some members, as the cluster publishes it.
func derived(b *view.Builder, members []membership.Member, previous *published) *published {
	return &published{View: *b.Derive(members, &previous.View)}
}

// unpublished is the view before the first.
func unpublished() *published { return &published{View: *view.Empty()} }

// testMembers are n active members.
func testMembers(n int, edit func(i int, m *membership.Member)) []membership.Member {
	var members []membership.Member
	for i := range n {
		m := membership.Member{
			ID: fmt.Sprintf("n%03d", i), Region: "eu", Zone: fmt.Sprint("z", i%3), Weight: 1,
			State: membership.Active, Configurations: []string{"rf3:balanced/3"},
		}
		if edit != nil {
			edit(i, &m)
		}
		members = append(members, m)
	}
	return members
}

// A lookup during a change answers from one ring that existed as a whole, never
// from parts of two, even when a view comes every millisecond.
func TestLookupsDuringConstantChurn(t *testing.T) {
	c, err := New(Options{ClusterName: "c", NodeID: "n000", GossipAddr: ":0", PartitionCount: 256, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)

	// Each view has another number of members, and weights to match.
	const views, keys = 40, 64
	published := make([]*published, views)
	want := make([][]string, views) // the owners of each key
	byFingerprint := make(map[ring.Fingerprint]int)
	previous := c.view.Load()
	for i := range published {
		v := derived(&c.builder, testMembers(4+i%7, func(n int, m *membership.Member) { m.Weight = 1 + (i+n)%5 }), previous)
		require.NoError(t, v.Failure)
		published[i], previous = v, v
		byFingerprint[v.Ring.Fingerprint()] = i
		for k := range keys {
			want[i] = append(want[i], owned(v.Ring.Lookup(fmt.Sprint("key ", k))))
		}
	}
	c.view.Store(published[0])

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			<-tick.C
			c.view.Store(published[i%views])
			c.changed.Signal()
		}
	})
	var lookups atomic.Int64
	for reader := range 4 {
		wg.Go(func() {
			var batch ring.Batch
			for i := reader; ctx.Err() == nil; i++ {
				k := i % keys
				key := fmt.Sprint("key ", k)
				lookups.Add(1)
				p := c.Lookup(key)
				got := owned(p)
				if !slices.ContainsFunc(want, func(w []string) bool { return w[k] == got }) {
					t.Errorf("the owners of %q were never %s", key, got)
				}
				r := c.Ring()
				at, known := byFingerprint[r.Fingerprint()]
				if !known || owned(r.Lookup(key)) != want[at][k] {
					t.Errorf("ring %v of view %d has %s for %q, want %s", r.Fingerprint(), at, owned(r.Lookup(key)), key, want[at][k])
				}
				if i%100 == 0 {
					c.Ring().Group([]string{key}, &batch)
					_ = c.Health()
					_, _ = c.Member("n001")
				}
			}
		})
	}
	wg.Wait()
	require.Greater(t, lookups.Load(), int64(100))
}

func owned(p ring.Placement) string {
	var ids []string
	for _, n := range p.All() {
		ids = append(ids, n.ID())
	}
	return fmt.Sprint(ids)
}
