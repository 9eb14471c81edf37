package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// rebuild does the work of clusterkit when the members change: it makes the ring of the
// new members from the ring in use.
func rebuild(previous *ring.Ring, nodes []ring.Node) (*ring.Ring, error) {
	return ring.Rebuild(previous, previous.Config(), nodes)
}

// rebuilds are the cases in which a member joins those of a size, or leaves them. Each
// operation begins with the same members: undoing a change is not timed.
func rebuilds(s size) ([]measure.Case, error) {
	nodes := ringNodes(memberIDs(s.members))
	joined := append(slices.Clone(nodes), ring.Node{ID: fmt.Sprintf("member-%d", s.members)})
	at := s.members / 2
	left, leaver := slices.Delete(slices.Clone(nodes), at, at+1), nodes[at].ID
	c := newConsistent(memberIDs(s.members), s.partitions)
	ours := func(group, name string, strategy ring.RebalanceStrategy, changed []ring.Node) measure.Case {
		return measure.Case{Group: group, Name: "clusterkit " + name, Role: measure.Reference, Make: func() (func(int), error) {
			config := ringConfig(s.partitions)
			config.Strategy = strategy
			before, err := ring.Build(config, nodes)
			return func(n int) {
				for range n {
					if _, err := rebuild(before, changed); err != nil {
						panic(err)
					}
				}
			}, err
		}}
	}
	theirs := func(group, name string, do, undo func()) measure.Case {
		untimed := new(time.Duration)
		return measure.Case{Group: group, Name: name, Untimed: untimed, Make: func() (func(int), error) {
			return func(n int) {
				for range n {
					do()
					began := time.Now()
					undo()
					*untimed += time.Since(began)
				}
			}, nil
		}}
	}
	add := func(id string) func() { return func() { c.Add(consistentMember(id)) } }
	remove := func(id string) func() { return func() { c.Remove(id) } }
	of := fmt.Sprintf(", %d members, %d partitions", s.members, s.partitions)
	joiner := joined[s.members].ID
	return []measure.Case{
		ours("join"+of, "Rendezvous", rebalance.Rendezvous{}, joined), ours("join"+of, "Balanced", rebalance.Balanced{}, joined),
		theirs("join"+of, "consistent Add", add(joiner), remove(joiner)),
		ours("leave"+of, "Rendezvous", rebalance.Rendezvous{}, left), ours("leave"+of, "Balanced", rebalance.Balanced{}, left),
		theirs("leave"+of, "consistent Remove", remove(leaver), add(leaver)),
	}, nil
}
