package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// scenario holds the state of the steps: the running members, and the screen.
type scenario struct {
	demo.Screen
	logger  *slog.Logger
	keys    []string
	members []*member // in ascending order of ID

	original ring.Fingerprint // when all six were running
}

// start starts the six members. Each except the first knows one address.
func (s *scenario) start(ctx context.Context) error {
	s.Step("Six members start in three zones. All they are told is where n1 is.")
	var seeds []string
	for _, at := range []struct{ id, zone string }{{"n1", "a"}, {"n2", "a"}, {"n3", "b"}, {"n4", "b"}, {"n5", "c"}, {"n6", "c"}} {
		m, err := start(ctx, at.id, at.zone, s.logger, seeds...)
		if err != nil {
			return err
		}
		s.members = append(s.members, m)
		seeds = []string{s.members[0].Local().Addr.String()}
	}
	s.addresses(s.members)
	var err error
	if s.original, err = s.agree(ctx); err != nil {
		return err
	}
	r := s.members[0].Ring()
	s.Fact("table", "%d partitions, %d owners each, no two in one zone", r.PartitionCount(), r.Replicas())
	s.owners(s.keys, r)
	return nil
}

// crash kills members, and prints the events of the first survivor until all survivors
// agree on the new owners.
func (s *scenario) crash(ctx context.Context, title string, victims ...string) error {
	s.Step(title)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.members[0].Events(ctx) // subscribed before the crash, so that no event is missed
	survivors := s.members[:0:0]
	for _, m := range s.members {
		if slices.Contains(victims, m.id) {
			m.crash()
		} else {
			survivors = append(survivors, m)
		}
	}
	s.members = survivors
	s.News(time.Now(), "the streams to it have ended; the members that held them ask it")
	before, after, err := s.follow(ctx, events)
	if err != nil {
		return err
	}
	if _, err := s.agree(ctx); err != nil {
		return err
	}
	plan, err := rebalance.Diff(before, after)
	if err != nil {
		return err
	}
	needed, lost := held(before, victims), orphans(before, victims)
	s.moved(plan, needed, victims)
	s.Fact("orphans", "%d of %d partitions had all their owners among the dead", lost, before.PartitionCount())
	s.changes(s.keys, before, after)
	if len(plan.Moves) < needed || len(plan.Moves) > needed+needed/10 || lost > 0 {
		return fmt.Errorf("%d slots moved, %d had to; %d partitions lost all their owners, though zones should keep them apart",
			len(plan.Moves), needed, lost)
	}
	return nil
}

// restart starts a member again with its old NodeID, at other ports.
func (s *scenario) restart(ctx context.Context, id, zone string) error {
	s.Step(id + " restarts: the same NodeID, other ports, nothing on disk.")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.members[0].Events(ctx)
	m, err := start(ctx, id, zone, s.logger, s.members[0].Local().Addr.String())
	if err != nil {
		return err
	}
	s.members = append(s.members, m)
	slices.SortFunc(s.members, func(a, b *member) int { return strings.Compare(a.id, b.id) })
	if _, _, err := s.follow(ctx, events); err != nil {
		return err
	}
	fingerprint, err := s.agree(ctx)
	if err != nil {
		return err
	}
	if fingerprint != s.original {
		return fmt.Errorf("the table is not the first one again: fingerprint %v, not %v", fingerprint, s.original)
	}
	s.Printf("\n   It is the fingerprint of 1 again: every key is back where it was.\n")
	return nil
}

// follow prints the events of the first member until its ring has exactly the running
// members. It returns the first and the last ring.
func (s *scenario) follow(ctx context.Context, events iter.Seq[cluster.Event]) (before, after *ring.Ring, err error) {
	watcher := s.members[0]
	for e := range events {
		switch e.Kind {
		case cluster.MemberFailed, cluster.MemberRejoined:
			s.News(e.At, "%s gets %s: %s", watcher.id, e.Kind, e.Member.ID)
		case cluster.RingChanged:
			plan, err := rebalance.Diff(e.Ring.Old, e.Ring.New)
			if err != nil {
				return nil, nil, err
			}
			if plan.Empty() {
				continue // only the target of the ring has changed
			}
			if before == nil {
				before = e.Ring.Old
			}
			after = e.Ring.New
			s.News(e.At, "%s gets %s: %d members now own, %d replica slots move", watcher.id, e.Kind, after.Len(), len(plan.Moves))
		}
		if after != nil && s.complete(after) {
			return before, after, nil
		}
	}
	return nil, nil, fmt.Errorf("%s has no ring of the members that are up: %w", watcher.id, context.Cause(ctx))
}

// complete reports whether a ring has exactly the running members.
func (s *scenario) complete(r *ring.Ring) bool {
	return slices.EqualFunc(r.Nodes(), s.members, func(n ring.Node, m *member) bool { return n.ID == m.id })
}

// agree waits until every member reports that all others hold its view. It compares
// their fingerprints, and returns the common one.
func (s *scenario) agree(ctx context.Context) (ring.Fingerprint, error) {
	for _, m := range s.members {
		if err := m.WaitConverged(ctx); err != nil {
			return 0, fmt.Errorf("%s: %w", m.id, err)
		}
	}
	common := s.members[0].Fingerprint()
	for _, m := range s.members[1:] {
		if own := m.Fingerprint(); own != common {
			return 0, fmt.Errorf("%s and %s disagree: fingerprints %v and %v", s.members[0].id, m.id, common, own)
		}
	}
	s.News(time.Now(), "all %d members agree: fingerprint %v", len(s.members), common)
	return common, nil
}

// compare shows the answers of each survivor.
func (s *scenario) compare(context.Context) error {
	s.Step("The survivors, asked one by one. No leader told them: each computed it.")
	s.answers(s.keys, s.members)
	for _, key := range s.keys {
		first := s.members[0].Lookup(key)
		for _, m := range s.members[1:] {
			if m.Lookup(key).Token() != first.Token() {
				return fmt.Errorf("%s and %s disagree about key %q", s.members[0].id, m.id, key)
			}
		}
	}
	return nil
}

// held counts the replica slots that nodes have in a ring. With any strategy these
// slots must move when the nodes are gone.
func held(r *ring.Ring, ids []string) (slots int) {
	for _, p := range r.All() {
		for _, id := range ids {
			if p.Owns(id) {
				slots++
			}
		}
	}
	return slots
}

// orphans counts the partitions that only these nodes own.
func orphans(r *ring.Ring, ids []string) (partitions int) {
	for _, p := range r.All() {
		alive := p.Len()
		for _, id := range ids {
			if p.Owns(id) {
				alive--
			}
		}
		if alive == 0 {
			partitions++
		}
	}
	return partitions
}
