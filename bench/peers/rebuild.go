package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
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
	before, err := ring.Build(ringConfig(s.partitions), nodes)
	if err != nil {
		return nil, err
	}
	c := newConsistent(memberIDs(s.members), s.partitions)
	ours := func(group string, nodes []ring.Node) measure.Case {
		return measure.Case{Group: group, Name: "clusterkit Rendezvous", Role: measure.Reference, Make: func() (func(int), error) {
			return func(n int) {
				for range n {
					if _, err := rebuild(before, nodes); err != nil {
						panic(err)
					}
				}
			}, nil
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
		ours("join"+of, joined), theirs("join"+of, "consistent Add", add(joiner), remove(joiner)),
		ours("leave"+of, left), theirs("leave"+of, "consistent Remove", remove(leaver), add(leaver)),
	}, nil
}
