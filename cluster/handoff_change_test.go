package cluster_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// changing is a cluster with data whose configuration changes while it is written and read.
type changing struct {
	t        *testing.T
	b        *testNet
	shelf    *shelf
	members  map[string]*cluster.Cluster
	stores   map[string]*store
	books    map[string]*book // nil: a member that stops loses its data
	versions map[string]int   // the newest acknowledged, by key
	written  int
	served   int // reads that were admitted
}

func newChanging(t *testing.T, b *testNet) *changing {
	return &changing{
		t: t, b: b, shelf: newShelf(),
		members: make(map[string]*cluster.Cluster), stores: make(map[string]*store), versions: make(map[string]int),
	}
}

// survives makes the data of members outlive their processes.
func (c *changing) survives() { c.books = make(map[string]*book) }

// start starts member i, empty unless its data survives.
func (c *changing) start(i int, with edit) {
	c.t.Helper()
	id := fmt.Sprintf("n%d", i)
	if c.books == nil || c.stores[id] == nil {
		c.stores[id] = c.shelf.make()
	}
	keep := func(*cluster.Options) {}
	if c.books != nil {
		c.books[id] = cmp.Or(c.books[id], newBook())
		keep = func(o *cluster.Options) { o.Handoff.Journal = c.books[id] }
	}
	c.members[id] = c.b.startWith(c.stores[id], i, keep, with)
}

// write writes some keys the way docs/handoff.md says.
func (c *changing) write() {
	for range 8 {
		c.written++
		key := fmt.Sprint("key ", c.written%64)
		by := c.members[slices.Sorted(maps.Keys(c.members))[c.written%len(c.members)]]
		p := by.Lookup(key)
		acknowledged := make(map[string]bool)
		for o := range ring.Writers(p).All() {
			m := c.members[o.ID()]
			if m == nil {
				continue
			}
			if done, err := m.Handoff().Admit(p.Partition(), p.Token()); err == nil {
				c.stores[o.ID()].merge(p.Partition(), map[string]int{key: c.written})
				done()
				acknowledged[o.ID()] = true
			}
		}
		if by.Handoff().WriteQuorum() == 0 {
			clear(c.versions) // handoff is off: no write is claimed to survive
		}
		if ring.Writers(p).Enough(0, func(id string) bool { return acknowledged[id] }) {
			c.versions[key] = c.written
		}
	}
}

// check requires, when all members have one view, that no read quorum of the owners
// that admit a read misses an acknowledged write.
func (c *changing) check() {
	c.t.Helper()
	var by *cluster.Cluster
	for _, m := range c.members {
		if by = cmp.Or(by, m); m.Fingerprint() != by.Fingerprint() || len(by.Members()) != len(c.members) {
			return
		}
	}
	for key, version := range c.versions {
		p := by.Lookup(key)
		behind := 0
		for _, o := range p.All() {
			if m := c.members[o.ID()]; m.Handoff().Serve(p.Partition(), p.Token()) == nil {
				if c.served++; c.stores[o.ID()].version(p.Partition(), key) < version {
					behind++
				}
			}
		}
		slack := by.Ring().Config().ReplicationFactor - by.Handoff().WriteQuorum()
		require.LessOrEqual(c.t, behind, slack, "%q of partition %d: version %d is missing from %d owners that admit a read, by %s",
			key, p.Partition(), version, behind, by.Health().Configuration)
	}
}

// during writes and checks until a function returns.
func (c *changing) during(what func() error) error {
	return during(50*time.Millisecond, func() { c.write(); c.check() }, what)
}

// settle waits until all members are active, agree, and nothing moves.
func (c *changing) settle() {
	c.t.Helper()
	c.b.await("all is still", func() bool {
		synctest.Wait() // a member publishes a view before its handoff takes it
		var first *cluster.Cluster
		for _, m := range c.members {
			first = cmp.Or(first, m)
			h := m.Handoff().State()
			if m.Local().State != membership.Active || h.Receiving+h.Releasing+h.Sharing > 0 ||
				m.Fingerprint() != first.Fingerprint() || len(m.Members()) != len(c.members) {
				return false
			}
		}
		return true
	})
	c.check()
	for id, s := range c.stores {
		s.mu.Lock()
		for _, call := range s.needs {
			require.GreaterOrEqual(c.t, call[0], 1, id)
			require.GreaterOrEqual(c.t, call[1], call[0], id)
		}
		s.mu.Unlock()
	}
}

// roll restarts every member with other options, in the order of the documentation: drain,
// stop, start. A member that does not drain loses its data.
func (c *changing) roll(members int, drains bool, with edit) {
	c.t.Helper()
	for i := 1; i <= members; i++ {
		c.restart(i, drains, with)
	}
}

// restart restarts one member.
func (c *changing) restart(i int, drains bool, with edit) {
	c.t.Helper()
	id := fmt.Sprintf("n%d", i)
	m := c.members[id]
	if drains {
		require.NoError(c.t, c.during(func() error { return m.Drain(within(c.t, 5*time.Minute)) }), "%s with %v", id, m.Local().Configurations)
	}
	delete(c.members, id)
	require.NoError(c.t, m.Stop(within(c.t, patience)))
	c.start(i, with)
	require.NoError(c.t, c.during(func() error { time.Sleep(500 * time.Millisecond); return nil }))
	c.settle()
}

// The replication factor of a cluster with data changes, up and down, in the two rounds of the
// documentation. By default only the cases run that differ most, and with -short three of them. Every
// Drain ends, every merge has at least one source, no read is admitted without the data, and no
// acknowledged write is lost.
func TestReplicationFactorChangesWithHandoff(t *testing.T) {
	full := os.Getenv("CLUSTERKIT_SIM_FULL") != ""
	for _, change := range [][2]int{{1, 3}, {1, 5}, {2, 4}, {3, 5}, {5, 3}, {4, 2}, {5, 1}, {3, 1}} {
		for _, how := range []struct{ drains, journal bool }{{true, false}, {true, true}, {false, true}, {false, false}} {
			from, to := change[0], change[1]
			switch {
			case !how.drains && !how.journal && min(from, to) == 1:
				continue // this loses data, as the documentation says
			case how.drains && how.journal && to != 3:
				continue // a member that has drained has nothing in its journal
			case !full && how.journal && (how.drains || to != 5):
				continue
			case !full && !how.drains && !how.journal && from < 4:
				continue
			case testing.Short() && (how.drains != (from == 5) || min(from, to) == 1):
				continue // one change remains for each way to restart
			}
			t.Run(fmt.Sprintf("%d to %d, drains %v, journal %v", from, to, how.drains, how.journal), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, b *testNet) { changeFactor(t, b, from, to, how.drains, how.journal) })
			})
		}
	}
}

func changeFactor(t *testing.T, b *testNet, from, to int, drains, journal bool) {
	c := newChanging(t, b)
	if journal {
		c.survives()
	}
	members := max(from, to) + 1
	with := func(factor int, also ...int) edit {
		return func(o *cluster.Options) {
			o.ReplicationFactor, o.PartitionCount = factor, 16
			for _, f := range also {
				o.AlsoRuns = append(o.AlsoRuns, cluster.Configuration{ReplicationFactor: f})
			}
		}
	}
	for i := 1; i <= members; i++ {
		c.start(i, with(from))
	}
	c.settle()
	for range 8 {
		c.write()
	}
	require.Len(t, c.versions, 64)
	c.roll(members, drains, with(to, from))
	require.Equal(t, to, c.members["n1"].Ring().Config().ReplicationFactor)
	require.Equal(t, to/2+1, c.members["n1"].Handoff().WriteQuorum())
	c.roll(members, drains, with(to))
	require.Positive(t, c.served)
	for _, m := range c.members {
		require.Empty(t, m.Handoff().State().Lost)
	}
}

// The weight of a running member grows, and shrinks again. The partitions that move are
// handed over.
func TestWeightChangesWithHandoff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := newChanging(t, b)
		for i := 1; i <= 6; i++ {
			c.start(i, func(o *cluster.Options) { o.Zone = "one" })
		}
		c.settle()
		owned := func() (n int) {
			for _, p := range c.members["n2"].Ring().All() {
				if p.Owns("n2") {
					n++
				}
			}
			return n
		}
		fair := owned()
		for range 8 {
			c.write()
		}
		weigh := func(weight int) error {
			return c.members["n2"].Update(t.Context(), func(a *membership.Attributes) { a.Weight = weight })
		}
		for _, weight := range []int{4, 0} {
			require.NoError(t, weigh(weight))
			require.NoError(t, c.during(func() error { time.Sleep(2 * time.Second); return nil }))
			require.Equal(t, max(weight, 1), c.members["n2"].Local().Weight)
			b.await("the share changes", func() bool { return (owned() > fair) == (weight > 1) })
			c.settle()
		}
		var bad *option.Error
		require.ErrorAs(t, weigh(-1), &bad)
		require.EqualError(t, weigh(1<<20+1), "membership: Weight is 1048577: must be between 0 and 1048576")
		require.Equal(t, 1, c.members["n2"].Local().Weight, "nothing has changed")
		require.Positive(t, c.served)
	})
}

// The last member of the old configuration hands over under that configuration, and leaves.
func TestTheLastOfTheOldConfigurationDrains(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		old := func(o *cluster.Options) { o.ReplicationFactor = 1 }
		both := func(o *cluster.Options) {
			o.ReplicationFactor, o.AlsoRuns = 3, []cluster.Configuration{{ReplicationFactor: 1}}
		}
		last, s := b.startStore(sh, 3, old, func(o *cluster.Options) { o.Seeds = nil })
		var rest []*cluster.Cluster
		for i := 1; i <= 2; i++ {
			c, _ := b.startStore(sh, i, both, func(o *cluster.Options) { o.Seeds = []string{gossipAddr(3)} })
			rest = append(rest, c)
		}
		b.still(append(rest, last)...)
		require.Equal(t, "rf1w1:balanced/3", last.Health().Configuration)
		require.NoError(t, last.Drain(within(t, patience)))
		require.Empty(t, s.data)
		require.NoError(t, last.Stop(within(t, patience)))
		b.still(rest...)
		require.Equal(t, "rf3w2:balanced/3", rest[0].Health().Configuration)
	})
}

// A member with a handoff and a cluster without one refuse each other, and each says what the
// other runs.
func TestHandoffIsPartOfTheConfiguration(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(2)
		sh := newShelf()
		s := sh.make()
		joiner := b.make(3, func(o *cluster.Options) { o.Handoff.Mover = s })
		var differ *membership.ConfigurationError
		err := joiner.Start(within(t, patience))
		require.ErrorAs(t, err, &differ)
		require.ErrorContains(t, err, "rf3:balanced/3")
		require.ErrorContains(t, err, "rf3w2:balanced/3")
		require.ErrorContains(t, err, "list the old configuration in AlsoRuns, and where the names of one side have no w, with HandoffOff")
		t.Log(err)
		b.agree(all...)
		require.Len(t, all[0].Members(), 2)
	})
}
