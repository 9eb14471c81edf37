package handoff

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// fed is one machine of a large cluster. Each query of the machine is answered as a ready owner would
// answer which has merged as requested. Jobs succeed at once. So all handoffs are complete before the
// next view.
type fed struct {
	t       testing.TB
	machine *Machine
	builder view.Builder
	name    string // of the configuration
	view    *view.View
	members []membership.Member
	started uint64
	events  []Event
	effects Effects       // of the last view
	took    time.Duration // the time of that view, and of what the driver does in the same step
}

func newFed(t testing.TB, members, partitions int) *fed {
	config := view.Configuration{Config: ring.Config{PartitionCount: partitions, ReplicationFactor: 3, WriteQuorum: 2, Strategy: rebalance.Rendezvous{}}}
	f := &fed{t: t, name: config.Name(), view: view.Empty(), builder: view.Builder{Configurations: map[string]view.Configuration{config.Name(): config}}}
	f.machine = New(Config{Self: Process{"n00001", 1}, Partitions: partitions, Parallel: partitions})
	f.machine.Step(Founding{})
	for range members {
		f.add(membership.Active)
	}
	f.see()
	return f
}

func (f *fed) add(state membership.State) {
	f.started++
	f.members = append(f.members, membership.Member{
		ID: fmt.Sprintf("n%05d", f.started), Weight: 1, State: state, PartitionCount: f.builder.Configurations[f.name].PartitionCount,
		Configurations: []string{f.name}, Start: membership.Start{Number: f.started, Nonce: f.started},
	})
}

func (f *fed) starts() map[string]uint64 {
	starts := make(map[string]uint64)
	for _, m := range f.members {
		starts[m.ID] = view.Origin(m)
	}
	return starts
}

// see gives the machine the view of the members, and then carries out all effects.
func (f *fed) see() {
	before := f.view.Ring
	f.view = f.builder.Derive(slices.Clone(f.members), f.view)
	require.NoError(f.t, f.view.Failure)
	next := View{Ring: f.view.Ring, Starts: f.starts()}.Compared(before)
	begun := time.Now()
	f.effects = f.machine.Step(next)
	drained := make([]int, 0, len(f.effects.Fences))
	for _, fence := range f.effects.Fences {
		drained = append(drained, fence.Partition)
	}
	e := f.machine.Step(Drained{drained})
	f.took = time.Since(begun)
	f.answer(f.effects)
	f.answer(e)
	for len(f.events) > 0 {
		next := f.events[0]
		f.events = f.events[1:]
		f.answer(f.machine.Step(next))
	}
}

// answer queues the events that follow from effects.
func (f *fed) answer(e Effects) {
	for _, s := range e.Send {
		if s.Message.kind != query {
			continue
		}
		back := &Message{kind: answer, query: s.Message.query, to: 1}
		for _, r := range s.Message.reports {
			back.reports = append(back.reports, report{
				partition: r.partition, flags: flagOwner | flagReady | flagOffers | flagSees, fence: s.To.Start, merged: r.fence,
			})
		}
		f.events = append(f.events, Received{s.To, back})
	}
	for _, j := range e.Start {
		f.events = append(f.events, Ended{Partition: j.Partition, ID: j.ID})
	}
	for _, a := range e.Arm {
		if a.Kind == Batch {
			f.events = append(f.events, Due{[]Timer{a.Timer}})
		}
	}
}

// leave removes a member. The first member is that of the machine.
func (f *fed) leave(i int) {
	f.members = slices.Delete(f.members, i, i+1)
	f.see()
}

// replace replaces a member by a new one, in three views or in one.
func (f *fed) replace(i int, inSteps bool) {
	f.members = slices.Delete(f.members, i, i+1)
	if inSteps {
		f.see()
		f.add(membership.Joining)
		f.see()
		f.members[len(f.members)-1].State = membership.Active
	} else {
		f.add(membership.Active)
	}
	f.see()
}
