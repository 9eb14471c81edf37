package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buraksezer/consistent"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// rebuild is what clusterkit does when the members change: it makes the ring of
// the new ones, knowing the one in use.
func rebuild(previous *ring.Ring, nodes []ring.Node) (*ring.Ring, error) {
	return ring.Rebuild(previous, previous.Config(), nodes)
}

// rebuildName is the case that consistent is weighed against.
const rebuildName = "clusterkit Rendezvous"

// What the names of the groups begin with.
const (
	joinGroup  = "join"
	leaveGroup = "leave"
)

// stopwatch is a clock that can be held, for what must happen between two
// operations and belongs to neither.
type stopwatch struct {
	clock func() time.Duration
	held  time.Duration
}

func newStopwatch() *stopwatch {
	began := time.Now()
	return &stopwatch{clock: func() time.Duration { return time.Since(began) }}
}

func (s *stopwatch) now() time.Duration { return s.clock() - s.held }

func (s *stopwatch) untimed(do func()) {
	from := s.clock()
	do()
	s.held += s.clock() - from
}

// rebuilds are the cases in which a member joins those of the scenario and is gone again,
// or leaves them and is back: the one is timed, what undoes it is not.
func (sc *scenario) rebuilds(s *stopwatch, f *failures) ([]measure.Case, error) {
	nodes := ringNodes(sc.members)
	before, err := ring.Build(ringConfig(sc.partitions), nodes)
	if err != nil {
		return nil, err
	}
	joiner := ring.Node{ID: fmt.Sprintf("member-%d", sc.size.members)}
	at := len(nodes) / 2
	leaver := nodes[at]
	joined := append(slices.Clone(nodes), joiner)
	left := slices.Delete(slices.Clone(nodes), at, at+1)
	c := newConsistent(sc.members, sc.partitions)
	size := fmt.Sprintf("%d members, %d partitions", sc.size.members, sc.partitions)

	ours := func(group string, nodes []ring.Node) measure.Case {
		return measure.Case{Group: group, Name: rebuildName, Role: measure.Reference, Make: func() (func(int), error) {
			failed := f.of(group, rebuildName)
			return func(n int) {
				for range n {
					if _, err := rebuild(before, nodes); err != nil {
						failed(err)
					}
				}
			}, nil
		}}
	}
	theirs := func(group, name string, do, undo func()) measure.Case {
		return measure.Case{Group: group, Name: name, Make: func() (func(int), error) {
			return func(n int) {
				for range n {
					do()
					s.untimed(undo)
				}
			}, nil
		}}
	}
	add := func(id string) func() { return func() { c.Add(consistentMember(id)) } }
	remove := func(id string) func() { return func() { c.Remove(id) } }
	join, leave := joinGroup+", "+size, leaveGroup+", "+size
	return []measure.Case{
		ours(join, joined),
		theirs(join, "consistent Add", add(joiner.ID), remove(joiner.ID)),
		ours(leave, left),
		theirs(leave, "consistent Remove", remove(leaver.ID), add(leaver.ID)),
	}, errors.Join(checkRebuild(before, joined), checkRebuild(before, left), checkConsistent(c, joiner.ID, leaver.ID))
}

// checkRebuild sees to it that what is timed gives the ring that the nodes have
// when it is built from nothing.
func checkRebuild(before *ring.Ring, nodes []ring.Node) error {
	got, err := rebuild(before, nodes)
	if err != nil {
		return err
	}
	want, err := ring.Build(before.Config(), nodes)
	if err != nil {
		return err
	}
	if got.Fingerprint() != want.Fingerprint() || got.Fingerprint() == before.Fingerprint() {
		return fmt.Errorf("rebuilt for %d nodes: fingerprint %v, built from nothing %v, before %v", len(nodes), got.Fingerprint(), want.Fingerprint(), before.Fingerprint())
	}
	return nil
}

// checkConsistent sees to it that a joiner owns and a leaver does not, and that
// both can be undone.
func checkConsistent(c *consistent.Consistent, joiner, leaver string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("consistent: panic: %v", r)
		}
	}()
	load := func(id string) float64 { return c.LoadDistribution()[id] }
	c.Add(consistentMember(joiner))
	added := load(joiner)
	c.Remove(joiner)
	held := load(leaver)
	c.Remove(leaver)
	kept := load(leaver)
	c.Add(consistentMember(leaver))
	if added == 0 || load(joiner) != 0 || held == 0 || kept != 0 || load(leaver) != held {
		return fmt.Errorf("consistent: %q came to %v partitions, %q had %v, then %v, then %v", joiner, added, leaver, held, kept, load(leaver))
	}
	return nil
}
