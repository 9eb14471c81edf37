package cluster_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// shelf is the list of all stores of a test, where they find each other.
type shelf struct {
	mu     sync.Mutex
	stores map[uint64]*store // by the nonce of the process
}

// store holds the data of one process.
type store struct {
	shelf *shelf

	mu       sync.Mutex
	data     map[int]map[string]int // versions by key, by partition
	received int
	released map[int]int
	needs    [][2]int // for each call of Receive, the number of sources needed and of sources named
	fault    func(ctx context.Context, partition int) error
}

func (s *store) Receive(ctx context.Context, p int, from []cluster.Member, need int) error {
	s.mu.Lock()
	fault := s.fault
	s.received++
	s.needs = append(s.needs, [2]int{need, len(from)})
	s.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, p); err != nil {
			return err
		}
	}
	merged := 0
	for _, m := range from {
		s.shelf.mu.Lock()
		other := s.shelf.stores[m.Start.Nonce]
		s.shelf.mu.Unlock()
		if other != nil {
			s.merge(p, other.copy(p))
			merged++
		}
	}
	if merged < need {
		return errors.New("too few sources")
	}
	return ctx.Err()
}

func (s *store) Release(_ context.Context, p int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.data, p)
	s.released[p]++
	return nil
}

func (s *store) copy(p int) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.data[p])
}

func (s *store) version(p int, key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[p][key]
}

func (s *store) merge(p int, data map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data[p] == nil {
		s.data[p] = make(map[string]int)
	}
	for k, v := range data {
		s.data[p][k] = max(v, s.data[p][k])
	}
}

// startStore starts member i with a store.
func (b *testNet) startStore(sh *shelf, i int, edits ...edit) (*cluster.Cluster, *store) {
	b.t.Helper()
	s := sh.make()
	return b.startWith(s, i, edits...), s
}

// startWith starts member i with an existing store.
func (b *testNet) startWith(s *store, i int, edits ...edit) *cluster.Cluster {
	b.t.Helper()
	c := b.make(i, append([]edit{func(o *cluster.Options) { o.Handoff.Mover, o.Bootstrap.MinMembers = s, 1 }}, edits...)...)
	s.shelf.mu.Lock()
	s.shelf.stores[c.Local().Start.Nonce] = s
	s.shelf.mu.Unlock()
	require.NoError(b.t, c.Start(b.t.Context()))
	return c
}

// startStores starts the members 1 to n with stores. It returns the members also by ID, and the
// stores.
func (b *testNet) startStores(sh *shelf, n int) (all []*cluster.Cluster, members map[string]*cluster.Cluster, stores map[string]*store) {
	b.t.Helper()
	members, stores = make(map[string]*cluster.Cluster), make(map[string]*store)
	for i := 1; i <= n; i++ {
		c, s := b.startStore(sh, i)
		all = append(all, c)
		members[c.Local().ID], stores[c.Local().ID] = c, s
	}
	return all, members, stores
}

func newShelf() *shelf { return &shelf{stores: make(map[uint64]*store)} }

// make makes an empty store.
func (sh *shelf) make() *store {
	return &store{shelf: sh, data: make(map[int]map[string]int), released: make(map[int]int)}
}

// put writes a key in the way that docs/handoff.md describes.
func put(t *testing.T, all map[string]*store, members map[string]*cluster.Cluster, by *cluster.Cluster, key string, version int) {
	t.Helper()
	p := by.Lookup(key)
	set := ring.Writers(p)
	acknowledged := make(map[string]bool)
	for o := range set.All() {
		done, err := members[o.ID()].Handoff().Admit(p.Partition(), p.Token())
		if err != nil {
			continue
		}
		all[o.ID()].merge(p.Partition(), map[string]int{key: version})
		done()
		acknowledged[o.ID()] = true
	}
	require.True(t, set.Enough(2, func(id string) bool { return acknowledged[id] }))
}

func TestHandoffOfADrain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		all, members, stores := b.startStores(sh, 4)
		b.await("all own", func() bool {
			for _, c := range all {
				if c.Local().State != membership.Active {
					return false
				}
			}
			return true
		})
		b.agree(all...)
		b.await("all is still", func() bool {
			for _, c := range all {
				if h := c.Handoff().State(); h.Receiving+h.Releasing > 0 || !c.Health().Ready {
					return false
				}
			}
			return true
		})
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		for i, key := range keys {
			put(t, stores, members, all[i%4], key, i+1)
		}
		begun := time.Now()
		require.NoError(t, all[3].Drain(within(t, patience)))
		t.Logf("drained in %v, %+v", time.Since(begun), all[3].Handoff().State())
		require.Empty(t, stores["n4"].data, "everything was released")
		require.NoError(t, all[3].Stop(t.Context()))
		for i, key := range keys {
			p := all[0].Lookup(key)
			for _, o := range p.All() {
				require.Equal(t, i+1, stores[o.ID()].copy(p.Partition())[key])
				require.NoError(t, members[o.ID()].Handoff().Serve(p.Partition(), p.Token()))
			}
		}
	})
}

// received reports whether a member owns a partition in its own view, and has the data.
func received(c *cluster.Cluster, partition int) bool {
	return c.Handoff().Received(partition, c.Ring().Placement(partition).Token()) == nil
}
