package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport/api"
)

// documented has the code that docs/operations.md shows to services. TestOperationsPage finds each
// piece of the page's Go here, and the tests below run it.
type documented struct{}

func (documented) complete(c *cluster.Cluster) bool {
	s := c.Handoff().State()
	complete := s.Receiving+s.Releasing+s.Sharing == 0
	return complete
}

func (documented) restarts(o *cluster.Options, journal cluster.Journal) {
	o.RestartGrace = time.Minute
	o.Handoff.Journal = journal
}

func (documented) drain(ctx context.Context, c *cluster.Cluster) error {
	err := c.Drain(ctx)
	return err
}

func (documented) resume(ctx context.Context, c *cluster.Cluster) error {
	if err := c.Resume(ctx); err != nil {
		return err
	}
	return c.WaitReady(ctx)
}

func (documented) planZone(c *cluster.Cluster) (rebalance.Plan, error) {
	plan, err := c.Plan(rebalance.Change{Drain: []string{"n3", "n4"}})
	return plan, err
}

func (documented) waitsForZones(o *cluster.Options) {
	o.ZoneGrace = 15 * time.Minute
}

func (documented) weigh(ctx context.Context, c *cluster.Cluster) error {
	err := c.Update(ctx, func(a *membership.Attributes) { a.Weight = 3 })
	return err
}

func (documented) end(ctx context.Context, c *cluster.Cluster) error {
	if err := c.Drain(ctx); errors.Is(err, cluster.ErrNoSuccessor) {
		slog.Warn("the data of this member is given up", "error", err)
	}
	return c.Stop(ctx)
}

func (documented) acceptLoss(c *cluster.Cluster) {
	for _, partition := range c.Handoff().State().Lost {
		c.Handoff().AcceptLoss(partition)
	}
}

func (documented) factor(o *cluster.Options) {
	o.ReplicationFactor, o.Handoff.WriteQuorum = 5, 3
	o.AlsoRuns = []cluster.Configuration{{ReplicationFactor: 3, WriteQuorum: 2}} // the second round leaves this line out
}

func (documented) turnOn(o *cluster.Options, store cluster.Mover) {
	o.Handoff.Mover = store
	o.AlsoRuns = []cluster.Configuration{{HandoffOff: true}} // the second round leaves this line out
}

func (documented) turnOff(o *cluster.Options, store cluster.Mover) {
	o.Handoff.Mover, o.Handoff.Off = store, true
	o.AlsoRuns = []cluster.Configuration{{}} // the second round leaves these lines out
}

// practice is a cluster with data, in the zones of docs/operations.md, that is written and read meanwhile.
type practice struct {
	*changing
	documented
}

func newPractice(t *testing.T, b *testNet, members int, with edit) *practice {
	p := &practice{changing: newChanging(t, b)}
	p.survives()
	for i := 1; i <= members; i++ {
		p.begin(i, with)
	}
	p.settle()
	for range 8 {
		p.write()
	}
	return p
}

// begin starts member i with its data and its journal, or empty where it has none.
func (p *practice) begin(i int, with edit) {
	p.start(i, func(o *cluster.Options) {
		o.Zone = []string{"a", "b", "c", "c"}[(i-1)%4]
		p.restarts(o, o.Handoff.Journal)
		with(o)
	})
}

// rest waits until all handoffs are complete.
func (p *practice) rest() {
	p.t.Helper()
	p.b.await("all handoffs are complete", func() bool {
		p.write()
		for _, m := range p.members {
			if !p.complete(m) {
				return false
			}
		}
		return true
	})
	p.settle()
	require.NotEmpty(p.t, p.versions)
}

// crash ends a member at once, with or without its data.
func (p *practice) crash(i int, data bool) {
	id := fmt.Sprint("n", i)
	p.b.net.Crash(addrPort(i))
	_ = p.members[id].Stop(ended())
	delete(p.members, id)
	if !data {
		delete(p.stores, id)
		delete(p.books, id)
	}
}

func unchanged(*cluster.Options) {}

// Restarts one by one, members and a zone out of service and back, a weight, and the end of the cluster: as
// docs/operations.md tells services that have data.
func TestOperationsOnData(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		p := newPractice(t, b, 4, unchanged)
		ring := p.members["n1"].Ring().Fingerprint()
		asBefore := func(what string) {
			t.Helper()
			p.rest()
			for id, m := range p.members {
				require.Equal(t, ring, m.Ring().Fingerprint(), "%s after %s", id, what)
			}
		}
		for i := 1; i <= 4; i++ {
			m := p.members[fmt.Sprint("n", i)]
			delete(p.members, m.Local().ID)
			require.NoError(t, p.during(func() error { return m.Stop(within(t, patience)) }))
			p.begin(i, unchanged)
			asBefore("a restart")
		}

		n2 := p.members["n2"]
		require.NoError(t, p.during(func() error { return p.drain(within(t, patience), n2) }))
		require.NotEmpty(t, n2.Lookup("key 1").Len(), "it answers lookups")
		require.NoError(t, p.during(func() error { return p.resume(within(t, patience), n2) }))
		asBefore("Drain and Resume")

		plan, err := p.planZone(p.members["n1"])
		require.NoError(t, err)
		require.NotEmpty(t, plan.Moves)
		for _, id := range []string{"n3", "n4"} {
			require.NoError(t, p.during(func() error { return p.drain(within(t, patience), p.members[id]) }))
		}
		require.Equal(t, 2, p.members["n1"].Ring().Len(), "the zone owns nothing")
		for _, id := range []string{"n3", "n4"} {
			require.NoError(t, p.during(func() error { return p.resume(within(t, patience), p.members[id]) }))
		}
		asBefore("the zone is back")

		n4, share := p.members["n4"], p.members["n4"].Metrics().Replicas
		require.NoError(t, p.weigh(t.Context(), n4))
		p.rest()
		require.Greater(t, n4.Metrics().Replicas+n4.Metrics().Primaries, share)

		begun, ends := time.Now(), sync.WaitGroup{}
		for _, m := range p.members {
			ends.Go(func() { _ = p.end(within(t, patience), m) })
		}
		ends.Wait()
		require.Less(t, time.Since(begun), 20*time.Second)
	})
}

// Two owners of three crash. One way out is to bring one of them back with its data, or with a backup of the
// data and the journal. Then writes after the backup are not guaranteed. The other way is to accept the loss
// of their data.
func TestOperationsAfterALoss(t *testing.T) {
	for _, way := range []string{"restored", "from a backup", "accepted"} {
		t.Run(way, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				p := newPractice(t, b, 5, unchanged)
				p.writeTo("n4", "n5")
				backup := p.backUp(4)
				for range 16 {
					p.write()
				}
				p.crash(4, way == "restored")
				p.crash(5, way == "restored")
				b.await("loss is said", func() bool { return slices.Contains(problems(p.members["n1"]), api.ProblemPossibleLoss) })
				switch way {
				case "from a backup":
					backup()
					fallthrough
				case "restored":
					p.begin(4, unchanged)
				default:
					time.Sleep(time.Minute) // until all members have found what is missing
					clear(p.versions)       // what is accepted as lost
					for _, m := range p.members {
						p.acceptLoss(m)
					}
				}
				p.rest()
				for id, m := range p.members {
					require.NotContains(t, problems(m), api.ProblemPossibleLoss, id)
				}
			})
		})
	}
}

// writeTo writes a key that only two of its owners have. They are a write quorum.
func (p *practice) writeTo(owners ...string) {
	for i := 0; ; i++ {
		key := fmt.Sprint("kept ", i)
		placed := p.members[owners[0]].Lookup(key)
		if !placed.Owns(owners[0]) || !placed.Owns(owners[1]) {
			continue
		}
		p.written++
		for _, id := range owners {
			p.stores[id].merge(placed.Partition(), map[string]int{key: p.written})
		}
		p.versions[key] = p.written
		return
	}
}

// backUp copies the data and the journal of a member. The returned function puts the copy in their place, and
// claims no later write.
func (p *practice) backUp(i int) (restore func()) {
	id, versions := fmt.Sprint("n", i), maps.Clone(p.versions)
	pages, err := p.books[id].Load()
	require.NoError(p.t, err)
	copied := p.shelf.make()
	for partition := range p.members[id].Ring().PartitionCount() {
		copied.merge(partition, p.stores[id].copy(partition))
	}
	return func() {
		p.stores[id], p.books[id], p.versions = copied, &book{pages: pages}, versions
	}
}

// The replication factor and the write quorum, and handoff on and off, in two rounds of restarts.
func TestOperationsOnTheConfiguration(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("restarts thirty members; TestHandoffIsTurnedOnAndOff does as much")
	}
	second := func(first edit, without func(*cluster.Options)) edit {
		return func(o *cluster.Options) { first(o); without(o) }
	}
	noAlsoRuns := func(o *cluster.Options) { o.AlsoRuns = nil }
	var d documented
	factor := edit(d.factor)
	on := edit(func(o *cluster.Options) { d.turnOn(o, o.Handoff.Mover) })
	off := edit(func(o *cluster.Options) { d.turnOff(o, o.Handoff.Mover) })
	for _, change := range []struct {
		name                 string
		before, first, later edit
		from, to             string
	}{
		{"factor", unchanged, factor, second(factor, noAlsoRuns), "rf3w2:balanced/3", "rf5w3:balanced/3"},
		{"on", noMover, on, second(on, noAlsoRuns), "rf3:balanced/3", "rf3w2:balanced/3"},
		{"off", unchanged, off, noMover, "rf3w2:balanced/3", "rf3:balanced/3"},
	} {
		t.Run(change.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				const members = 5
				small := func(with edit) edit {
					return func(o *cluster.Options) { o.PartitionCount = 16; with(o) }
				}
				c := newChanging(t, b)
				for i := 1; i <= members; i++ {
					c.start(i, small(change.before))
				}
				c.settle()
				require.Equal(t, change.from, c.members["n1"].Health().Configuration)
				for _, round := range []edit{change.first, change.later} {
					c.roll(members, true, small(round))
					for id, m := range c.members {
						require.Equal(t, change.to, m.Health().Configuration, id)
						require.True(t, m.Health().Healthy, "%s: %+v", id, m.Health().Problems)
					}
				}
				require.Empty(t, c.members["n1"].Local().Configurations[1:], "the old one is dropped")
			})
		})
	}
}
