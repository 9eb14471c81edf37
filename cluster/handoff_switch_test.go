package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
)

// The members of a cluster in the rounds that turn handoff on and off.
var (
	noMover = edit(func(o *cluster.Options) { o.Handoff = cluster.HandoffOptions{} })
	turnOn  = edit(func(o *cluster.Options) { o.AlsoRuns = []cluster.Configuration{{HandoffOff: true}} })
	on      = edit(func(*cluster.Options) {})
	turnOff = edit(func(o *cluster.Options) { o.Handoff.Off, o.AlsoRuns = true, []cluster.Configuration{{}} })
)

// fill gives all owners the data that was written before there was a handoff.
func (c *changing) fill() {
	for i := range 64 {
		key := fmt.Sprint("before ", i)
		p := c.members["n1"].Lookup(key)
		for _, o := range p.All() {
			c.stores[o.ID()].merge(p.Partition(), map[string]int{key: 1})
		}
	}
}

// filled returns the lowest number of owners that have a key of fill.
func (c *changing) filled() int {
	least := 16
	for i := range 64 {
		key := fmt.Sprint("before ", i)
		p := c.members["n1"].Lookup(key)
		has := 0
		for _, o := range p.All() {
			has += c.stores[o.ID()].copy(p.Partition())[key]
		}
		least = min(least, has)
	}
	return least
}

// settleBut waits for a condition while the cluster is written.
func (c *changing) settleBut(condition func() bool) {
	c.t.Helper()
	c.b.await("it holds", func() bool { c.write(); return condition() })
}

// With the documented rounds handoff is turned on, off and on again, while the cluster is written
// and read. Without it members own at once, nothing is moved and nothing deleted. After the switch
// no acknowledged write is lost. Where data survives restarts, earlier writes are not lost either.
func TestHandoffIsTurnedOnAndOff(t *testing.T) {
	const members, without, with = 4, "rf3:balanced/3", "rf3w2:balanced/3"
	for _, drains := range []bool{true, false} {
		for _, journal := range []bool{true, false} {
			if testing.Short() && drains != journal {
				continue
			}
			t.Run(fmt.Sprintf("drains %v, journal %v", drains, journal), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, b *testNet) {
					c := newChanging(t, b)
					if journal {
						c.survives()
					}
					for i := 1; i <= members; i++ {
						c.start(i, noMover)
					}
					c.settle()
					c.fill()
					calls := func(i int) (n int) { // of all members but one
						for id, s := range c.stores {
							if id == fmt.Sprintf("n%d", i) {
								continue
							}
							n += s.received
							for _, times := range s.released {
								n += times
							}
						}
						return n
					}
					for _, round := range []struct {
						name          string
						options       edit
						before, after string
					}{
						{name: "to on, first", options: turnOn, before: without, after: with},
						{name: "to on, second", options: on, before: with, after: with},
						{name: "to off, first", options: turnOff, before: with, after: without},
						{name: "to off, second", options: noMover, before: without, after: without},
						{name: "to on again, first", options: turnOn, before: without, after: with},
						{name: "to on again, second", options: on, before: with, after: with},
					} {
						for i := 1; i <= members; i++ {
							require.Equal(t, round.before, c.members["n1"].Health().Configuration, "%s, n%d", round.name, i)
							moved := calls(i)
							c.restart(i, drains, round.options)
							if round.before == without {
								require.Zero(t, c.members[fmt.Sprint("n", i)].Local().Origin, "%s, n%d: its journal counts no more", round.name, i)
							}
							if round.before == without && i < members {
								require.Equal(t, moved, calls(i), "%s, n%d: nothing moves while handoff is off", round.name, i)
							}
						}
						for id, m := range c.members {
							require.Equal(t, round.after, m.Health().Configuration, "%s, %s", round.name, id)
							require.Equal(t, round.after, m.Metrics().Configuration, "%s, %s", round.name, id)
							require.Equal(t, map[string]int{without: 0, with: 2}[round.after], m.Handoff().WriteQuorum(), "%s, %s", round.name, id)
							require.True(t, m.Health().Healthy, "%s, %s: %+v", round.name, id, m.Health().Problems)
						}
						if round.after == with {
							c.write()
							require.NotEmpty(t, c.versions)
						}
						if journal {
							require.GreaterOrEqual(t, c.filled(), 2, round.name)
						}
					}
					require.Positive(t, c.served)
				})
			})
		}
	}
}

// A configuration with a handoff may have another replication factor or strategy than the one
// before. The earlier owners are the sources of the new ones.
func TestHandoffIsTurnedOnWithAnotherPlacement(t *testing.T) {
	for _, change := range []struct{ before, after cluster.Configuration }{
		{cluster.Configuration{ReplicationFactor: 2}, cluster.Configuration{ReplicationFactor: 3}},
		{cluster.Configuration{ReplicationFactor: 3}, cluster.Configuration{ReplicationFactor: 2, Strategy: rebalance.Rendezvous{}}},
	} {
		t.Run(fmt.Sprintf("from %d to %d", change.before.ReplicationFactor, change.after.ReplicationFactor), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *testNet) {
				c := newChanging(t, b)
				c.survives()
				for i := 1; i <= 4; i++ {
					c.start(i, func(o *cluster.Options) {
						o.Handoff, o.ReplicationFactor = cluster.HandoffOptions{}, change.before.ReplicationFactor
					})
				}
				c.settle()
				c.fill()
				change.before.HandoffOff = true
				with := func(also ...cluster.Configuration) edit {
					return func(o *cluster.Options) {
						o.ReplicationFactor, o.Strategy, o.AlsoRuns = change.after.ReplicationFactor, change.after.Strategy, also
					}
				}
				c.roll(4, true, with(change.before))
				require.Equal(t, 2, c.members["n1"].Handoff().WriteQuorum())
				require.GreaterOrEqual(t, c.filled(), 1)
				c.roll(4, true, with())
				require.GreaterOrEqual(t, c.filled(), 2)
				require.NotEmpty(t, c.versions)
				require.Positive(t, c.served)
			})
		})
	}
}

// The last member without the new configuration crashes, another member crashes and starts again
// empty, and a new one joins, all at the moment of the switch. No owner is lost for good.
func TestHandoffIsTurnedOnInTheMiddleOfCrashes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := newChanging(t, b)
		c.start(5, edit(func(o *cluster.Options) { noMover(o); o.Seeds = nil }))
		for i := 1; i <= 4; i++ {
			c.start(i, edit(func(o *cluster.Options) { turnOn(o); o.Seeds = append(o.Seeds, gossipAddr(5)) }))
		}
		c.settle()
		require.Equal(t, "rf3:balanced/3", c.members["n1"].Health().Configuration)
		c.fill()
		crash := func(i int) {
			m := c.members[fmt.Sprintf("n%d", i)]
			delete(c.members, m.Local().ID)
			b.net.Crash(addrPort(i))
			_ = m.Stop(ended())
		}
		crash(5)
		crash(2)
		c.start(6, turnOn)
		c.start(2, turnOn)
		require.NoError(t, c.during(func() error { time.Sleep(time.Minute); return nil }))
		c.settle()
		require.Equal(t, "rf3w2:balanced/3", c.members["n1"].Health().Configuration)
		require.GreaterOrEqual(t, c.filled(), 1, "one owner of three was there throughout")
		require.NotEmpty(t, c.versions)
		require.Positive(t, c.served)
	})
}

// hesitant is a store whose calls wait, also after their context has ended.
type hesitant struct {
	*store
	receive, release chan struct{}
}

func (s hesitant) Receive(ctx context.Context, p int, from []cluster.Member, need int) error {
	<-s.receive
	return s.store.Receive(ctx, p, from, need)
}

func (s hesitant) Release(ctx context.Context, p int) error {
	<-s.release
	return s.store.Release(ctx, p)
}

// Handoff is turned off while one member receives, one releases and one drains. Then the receiving
// member owns, the draining one may leave, and an owner that still deletes admits no write before
// it is done.
func TestHandoffIsTurnedOffInTheMiddle(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := newChanging(t, b)
		gates := make(map[string]hesitant)
		open := func() { // all, once
			for id, s := range gates {
				close(s.release)
				if delete(gates, id); id == "n6" {
					close(s.receive)
				}
			}
		}
		defer open()
		hesitate := func(o *cluster.Options) {
			s := hesitant{c.stores[o.NodeID], make(chan struct{}), make(chan struct{})}
			if o.NodeID != "n6" {
				close(s.receive)
			}
			gates[o.NodeID], o.Handoff.Mover = s, s
			o.Handoff.Off, o.Handoff.Parallel, o.AlsoRuns = true, 64, []cluster.Configuration{{}}
		}
		c.start(1, on) // the last member of the old configuration
		for i := 2; i <= 5; i++ {
			c.start(i, hesitate)
			c.settleBut(func() bool { return c.members[fmt.Sprintf("n%d", i)].Local().State == membership.Active })
		}
		c.fill()
		c.settleBut(func() bool { return c.members["n2"].Handoff().State().Releasing > 0 })
		c.start(6, hesitate) // it receives
		drained := make(chan error, 1)
		go func() { drained <- c.members["n3"].Drain(within(t, 10*time.Minute)) }()
		c.settleBut(func() bool {
			return c.members["n3"].Local().State == membership.Draining && c.members["n6"].Handoff().State().Receiving > 0
		})

		last := c.members["n1"]
		delete(c.members, "n1")
		require.NoError(t, last.Stop(within(t, patience)))
		var left *cluster.NotHandedOverError
		require.ErrorAs(t, <-drained, &left)
		require.Positive(t, left.Held)
		require.EqualError(t, left.Err, "cluster: handoff was turned off meanwhile")
		require.NoError(t, c.members["n3"].Drain(within(t, patience)), "nothing keeps it any more")
		require.NoError(t, c.members["n3"].Stop(within(t, patience)))
		delete(c.members, "n3")
		b.await("the member that received owns", func() bool { return c.members["n6"].Local().State == membership.Active })
		require.NoError(t, c.members["n5"].Stop(within(t, patience))) // the partitions that n2 handed to it are n2's again
		delete(c.members, "n5")
		b.agree(c.members["n2"], c.members["n4"], c.members["n6"])

		fenced := 0
		for id, m := range c.members {
			for _, p := range m.Ring().All() {
				if !p.Owns(id) {
					continue
				}
				switch _, err := m.Handoff().Admit(p.Partition(), p.Token()); {
				case errors.Is(err, cluster.ErrFenced):
					fenced++
					require.ErrorIs(t, m.Handoff().Serve(p.Partition(), p.Token()), cluster.ErrNotReceived)
				default:
					require.NoError(t, err)
					require.NoError(t, m.Handoff().Serve(p.Partition(), p.Token()))
				}
			}
		}
		require.Positive(t, fenced, "partitions that are owned while they are deleted")
		open()
		c.settle()
		for id, m := range c.members {
			for _, p := range m.Ring().All() {
				if p.Owns(id) {
					_, err := m.Handoff().Admit(p.Partition(), p.Token())
					require.NoError(t, err)
				}
			}
			require.Equal(t, "rf3:balanced/3", m.Health().Configuration)
		}
	})
}
