package main

import (
	"fmt"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// ringShape is the size of a ring.
type ringShape struct{ members, partitions, replicas int }

func (s ringShape) String() string {
	return fmt.Sprintf("%d members, %d partitions × %d", s.members, s.partitions, s.replicas)
}

// rebuild computes the ring after a change of the nodes from the ring before, as a
// member of a cluster does.
func rebuild(previous *ring.Ring, nodes []ring.Node) (*ring.Ring, error) {
	return ring.Rebuild(previous, previous.Config(), nodes)
}

// finished is a strategy that has its table ready. So a build takes only the time that
// is the same for every strategy: the check, the copy and the fingerprint.
type finished struct{ rows [][]uint16 }

func (finished) Name() string { return "finished/1" }

func (f finished) Assign(_ ring.Topology, table ring.Table) error {
	for p, row := range f.rows {
		copy(table.Row(p), row)
	}
	return nil
}

// finish returns a finished strategy, whose table has the nodes in turn.
func finish(s ringShape) finished {
	f := finished{rows: make([][]uint16, s.partitions)}
	for p := range f.rows {
		for i := range min(s.replicas, s.members) {
			f.rows[p] = append(f.rows[p], uint16((p+i)%s.members))
		}
	}
	return f
}

// buildCases measure the time to build a ring after a change of members.
func (f *fixture) buildCases() ([]measure.Case, error) {
	var cases []measure.Case
	for _, s := range f.rings {
		group := "Rings: " + s.String()
		config := ring.Config{PartitionCount: s.partitions, ReplicationFactor: s.replicas, Strategy: finish(s)}
		cases = append(cases, measure.Case{
			Group: group, Name: "check, copy and fingerprint alone", Role: measure.Floor,
			Make: repeat(func() error { return ignore(ring.Build(config, nodes(s.members))) }),
		})
		for _, strategy := range strategies {
			cases = append(cases, changes(group, s, strategy)...)
		}
		cases = append(cases, plan(group, s))
	}
	return cases, nil
}

// changes are the builds of one strategy.
func changes(group string, s ringShape, strategy ring.RebalanceStrategy) []measure.Case {
	config := ring.Config{PartitionCount: s.partitions, ReplicationFactor: s.replicas, Strategy: strategy}
	all := nodes(s.members + 1)
	// step makes a case in which the nodes of a ring change.
	step := func(name string, from, to []ring.Node) measure.Case {
		return measure.Case{Group: group, Name: label(strategy) + ", " + name, Make: func() (func(int), error) {
			previous, err := ring.Build(config, from)
			if err != nil {
				return nil, err
			}
			return repeat(func() error { return ignore(rebuild(previous, to)) })()
		}}
	}
	return []measure.Case{
		{Group: group, Name: label(strategy) + ", from nothing", Make: repeat(func() error { return ignore(ring.Build(config, all[:s.members])) })},
		step("a member joins", all[:s.members], all),
		step("a member leaves", all, all[:s.members]),
	}
}

// plan compares two rings.
func plan(group string, s ringShape) measure.Case {
	config := ring.Config{PartitionCount: s.partitions, ReplicationFactor: s.replicas, Strategy: rebalance.Rendezvous{}}
	all := nodes(s.members + 1)
	return measure.Case{Group: group, Name: "plan between two rings, a member joins", Make: func() (func(int), error) {
		from, err := ring.Build(config, all[:s.members])
		if err != nil {
			return nil, err
		}
		to, err := rebuild(from, all)
		if err != nil {
			return nil, err
		}
		return repeat(func() error {
			_, err := rebalance.Diff(from, to)
			return err
		})()
	}}
}

// repeat makes a run of a function that must not fail. An error of the first call is
// returned; an error of a later call panics.
func repeat(do func() error) maker {
	return func() (func(int), error) {
		if err := do(); err != nil {
			return nil, err
		}
		return func(n int) {
			for range n {
				if err := do(); err != nil {
					panic(fmt.Sprintf("bench: what succeeded before does not any more: %v", err))
				}
			}
		}, nil
	}
}

func ignore(_ *ring.Ring, err error) error { return err }
