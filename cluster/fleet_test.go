package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// copying is a store that knows which partitions it received as a whole.
type copying struct {
	*store
	mu     sync.Mutex
	copied map[int]int // by partition, the calls of Receive that found no data here and brought some
}

func (s *copying) Receive(ctx context.Context, p int, from []cluster.Member, need int) error {
	had := len(s.copy(p))
	err := s.store.Receive(ctx, p, from, need)
	if had == 0 && len(s.copy(p)) > 0 {
		s.mu.Lock()
		s.copied[p]++
		s.mu.Unlock()
	}
	return err
}

// copies returns how many full copies of partitions this store received, and how many of them
// were of a partition that it had received before.
func (s *copying) copies() (all, again int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.copied {
		all += n
		again += n - 1
	}
	return all, again
}

// fleet is a cluster with data whose members restart in place.
type fleet struct {
	*changing
	books    map[int]*book // nil: without journals
	copying  map[string]*copying
	refused  []string // writes that were not acknowledged
	unserved []string // reads for which no read quorum served
	behind   []string // keys of which a read quorum missed an acknowledged write
}

// newFleet starts members with a key in each partition, and writes to all of them.
func newFleet(t *testing.T, b *testNet, members int, journal bool, edits ...edit) *fleet {
	f := &fleet{changing: newChanging(t, b), copying: make(map[string]*copying)}
	if journal {
		f.books = make(map[int]*book)
	}
	for i := 1; i <= members; i++ {
		f.begin(i, edits...)
	}
	f.settle()
	for range 64 {
		f.writeAll()
	}
	f.settle()
	require.Empty(t, f.refused)
	f.forgetCopies()
	return f
}

// begin starts member i: with its store where there are journals, and empty without journals.
func (f *fleet) begin(i int, edits ...edit) *cluster.Cluster {
	f.t.Helper()
	id := fmt.Sprint("n", i)
	s := f.copying[id]
	if s == nil || f.books == nil {
		s = &copying{store: &store{shelf: f.shelf, data: make(map[int]map[string]int), released: make(map[int]int)}, copied: make(map[int]int)}
	}
	mover := func(o *cluster.Options) {
		o.Handoff.Mover = s
		if f.books != nil {
			if f.books[i] == nil {
				f.books[i] = newBook()
			}
			o.Handoff.Journal = f.books[i]
		}
	}
	c := f.b.make(i, append([]edit{mover}, edits...)...)
	f.shelf.mu.Lock()
	f.shelf.stores[c.Local().Start.Nonce] = s.store
	f.shelf.mu.Unlock()
	require.NoError(f.t, c.Start(f.t.Context()))
	f.members[id], f.stores[id], f.copying[id] = c, s.store, s
	return c
}

// end stops a member without draining it.
func (f *fleet) end(i int) {
	f.t.Helper()
	id := fmt.Sprint("n", i)
	c := f.members[id]
	require.NoError(f.t, f.busy(func() error { return c.Stop(within(f.t, patience)) }))
	delete(f.members, id)
	f.shelf.mu.Lock()
	delete(f.shelf.stores, c.Local().Start.Nonce)
	f.shelf.mu.Unlock()
}

func (f *fleet) forgetCopies() {
	for _, s := range f.copying {
		s.mu.Lock()
		clear(s.copied)
		s.mu.Unlock()
	}
}

// copies returns the number of full copies that each member received.
func (f *fleet) copies() map[string]int {
	all := make(map[string]int)
	for id, s := range f.copying {
		if n, _ := s.copies(); n > 0 {
			all[id] = n
		}
	}
	return all
}

// writeAll writes a few keys, and counts the writes that were not acknowledged and the keys that
// no read quorum serves.
func (f *fleet) writeAll() {
	before := maps.Clone(f.versions)
	f.write()
	for i := f.written - 7; i <= f.written; i++ {
		if key := fmt.Sprint("key ", i%64); f.versions[key] == before[key] {
			f.refused = append(f.refused, fmt.Sprint(time.Now(), " ", key))
		}
	}
	by := f.members[slices.Sorted(maps.Keys(f.members))[0]]
	for key, version := range f.versions {
		p := by.Lookup(key)
		served, behind := 0, 0
		for _, o := range p.All() {
			m := f.members[o.ID()]
			if m != nil && m.Handoff().Serve(p.Partition(), p.Token()) == nil {
				served++
				if f.stores[o.ID()].copy(p.Partition())[key] < version {
					behind++
				}
			}
		}
		if served < 2 {
			f.unserved = append(f.unserved, fmt.Sprint(time.Now(), " ", key))
		}
		if behind > 1 {
			f.behind = append(f.behind, fmt.Sprint(time.Now(), " ", key))
		}
	}
}

// busy writes and reads until something is done.
func (f *fleet) busy(what func() error) error {
	return during(20*time.Millisecond, f.writeAll, what)
}

// awaitBusy writes and reads until a condition holds.
func (f *fleet) awaitBusy(what string, holds func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		require.True(f.t, time.Now().Before(deadline), "waited in vain: %s", what)
		time.Sleep(10 * time.Millisecond) // virtual
		f.writeAll()
	}
}

// calm waits, writing, until all members are active and ready, agree, and nothing moves.
func (f *fleet) calm() {
	f.t.Helper()
	f.awaitBusy("all is still", func() bool {
		synctest.Wait() // a member publishes a view before its handoff takes it
		var first *cluster.Cluster
		for _, m := range f.members {
			if first == nil {
				first = m
			}
			h := m.Handoff().State()
			if h.Receiving+h.Releasing+h.Sharing > 0 || m.Fingerprint() != first.Fingerprint() || len(m.Members()) != len(f.members) {
				return false
			}
			for _, one := range m.Members() { // of the view, which is published after Local has changed
				if one.State != membership.Active {
					return false
				}
			}
		}
		return true
	})
}
