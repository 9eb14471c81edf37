package strategytest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/clusterkit/clusterkit/ring"
)

// complete says that every partition has as many distinct owners as the
// replication factor asks for, or all nodes when there are fewer.
func complete(s ring.RebalanceStrategy, c Cluster) error {
	r, err := c.Build(s)
	if err != nil {
		return err
	}
	for p, placement := range r.All() {
		seen := make(map[string]bool)
		for _, n := range placement.All() {
			seen[n.ID()] = true
		}
		if len(seen) != min(c.ReplicationFactor, len(c.Nodes)) {
			return fmt.Errorf("partition %d has %d distinct owners, not %d", p, len(seen), min(c.ReplicationFactor, len(c.Nodes)))
		}
	}
	return nil
}

// repeatable says that the same nodes give the same ring again, from several
// goroutines at once.
func repeatable(s ring.RebalanceStrategy, c Cluster) error {
	want, err := c.Build(s)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			again, err := c.Build(s)
			switch {
			case err != nil:
				errs[i] = err
			case again.Fingerprint() != want.Fingerprint():
				errs[i] = fmt.Errorf("the same nodes give %v once and %v again", want.Fingerprint(), again.Fingerprint())
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// orderIndependent says that another order of the same nodes gives the same
// ring.
func orderIndependent(s ring.RebalanceStrategy, c Cluster, shuffled []ring.Node) error {
	a, err := c.Build(s)
	if err != nil {
		return err
	}
	c.Nodes = shuffled
	b, err := c.Build(s)
	if err != nil {
		return err
	}
	if a.Fingerprint() != b.Fingerprint() {
		return fmt.Errorf("%v in one order of the nodes, %v in another", a.Fingerprint(), b.Fingerprint())
	}
	return nil
}

// historyIndependent says that after the i-th node has left and rejoined, the ring is
// the same as before. The cluster must have two nodes or more.
func historyIndependent(s ring.RebalanceStrategy, c Cluster, i int) error {
	before, err := c.Build(s)
	if err != nil {
		return err
	}
	node := c.Nodes[i]
	c = c.Without(i)
	if _, err := c.Build(s); err != nil {
		return err
	}
	after, err := c.With(node).Build(s)
	if err != nil {
		return err
	}
	if before.Fingerprint() != after.Fingerprint() {
		return fmt.Errorf("%v before, %v after node %q has been away", before.Fingerprint(), after.Fingerprint(), node.ID)
	}
	return nil
}

// derivesAlike says that a strategy that is a [ring.Deriver] derives the same table that Assign
// computes. It derives a table when the nodes of the cluster become those in changed, and again
// when they become the earlier nodes. A strategy that is no Deriver has this property.
func derivesAlike(s ring.RebalanceStrategy, c Cluster, changed []ring.Node) error {
	if _, derives := s.(ring.Deriver); !derives {
		return nil
	}
	before, err := c.Build(s)
	if err != nil {
		return err
	}
	derived, err := ring.Rebuild(before, before.Config(), changed)
	if err != nil {
		return err
	}
	c.Nodes = changed
	computed, err := c.Build(s)
	if err != nil {
		return err
	}
	if derived.Fingerprint() != computed.Fingerprint() {
		return fmt.Errorf("%v derived from the ring before, %v computed", derived.Fingerprint(), computed.Fingerprint())
	}
	again, err := ring.Rebuild(derived, before.Config(), before.Nodes())
	if err != nil {
		return err
	}
	if again.Fingerprint() != before.Fingerprint() {
		return fmt.Errorf("%v derived when the nodes are those of before again, %v computed", again.Fingerprint(), before.Fingerprint())
	}
	return nil
}

// spread says that the owners of each partition are in as many zones as possible. The
// numbers of owners in two zones differ by at most one, unless a zone has no more
// nodes. As far as that leaves a choice, the same holds for regions. A strategy whose method
// Yields(ring.Topology) error returns an error for the cluster has this property.
func spread(s ring.RebalanceStrategy, c Cluster) error {
	r, err := c.Build(s)
	if err != nil {
		return err
	}
	topology := ring.Topology{Nodes: r.Nodes(), PartitionCount: c.PartitionCount, Replicas: r.Replicas()}
	if y, ok := s.(interface{ Yields(ring.Topology) error }); ok && y.Yields(topology) != nil {
		return nil
	}
	for p, placement := range r.All() {
		var row []ring.Node
		for _, n := range placement.All() {
			row = append(row, n.Node())
		}
		if err := rowIsSpread(c.Nodes, row); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	if spread := r.Spread(); spread.ZoneViolations+spread.RegionViolations > 0 {
		return fmt.Errorf("spread: %+v", spread)
	}
	return nil
}

type place struct{ region, zone string }

func placeOf(n ring.Node) place { return place{n.Region, n.Zone} }

func rowIsSpread(nodes, row []ring.Node) error {
	size, zone, region := make(map[place]int), make(map[place]int), make(map[string]int)
	for _, n := range nodes {
		size[placeOf(n)]++
	}
	for _, n := range row {
		zone[placeOf(n)]++
		region[n.Region]++
	}
	for a := range size {
		for b := range size {
			if zone[b] == size[b] {
				continue
			}
			if zone[a] > zone[b]+1 {
				return fmt.Errorf("%d owners in zone %v, %d in %v", zone[a], a, zone[b], b)
			}
			if zone[a] == zone[b]+1 && region[a.region] > region[b.region]+1 {
				return fmt.Errorf("%d owners in region %q, %d in %q, and zone %v could take one from %v", region[a.region], a.region, region[b.region], b.region, b, a)
			}
		}
	}
	return nil
}

// MovesOnlyToJoiner says that when a node joins, slots move only to this node, at most
// one of each partition. Few strategies promise that, and no strategy that bounds load
// does, so [Check] leaves it out. Where it holds for every joining node, movement is
// minimal.
func MovesOnlyToJoiner(s ring.RebalanceStrategy, c Cluster, joiner ring.Node) error {
	before, err := c.Build(s)
	if err != nil {
		return err
	}
	after, err := c.With(joiner).Build(s)
	if err != nil {
		return err
	}
	for p := range c.PartitionCount {
		lost := lostOwners(before, after, p)
		if len(lost) > 1 || len(lost) == 1 && !after.Placement(p).Owns(joiner.ID) {
			return fmt.Errorf("partition %d: %v lost, joiner owns: %v", p, lost, after.Placement(p).Owns(joiner.ID))
		}
		was, _ := before.Placement(p).Primary()
		is, _ := after.Placement(p).Primary()
		if was.ID() != is.ID() && is.ID() != joiner.ID {
			return fmt.Errorf("partition %d: the primary goes from %q to %q", p, was.ID(), is.ID())
		}
	}
	return nil
}

// OneOwnerALeave says that when the i-th node leaves, at most one owner of each partition
// changes. Then the quorums of the old and the new owners have an owner in common. Few
// strategies promise that, and none where a zone runs out of nodes, so [Check] leaves it
// out.
func OneOwnerALeave(s ring.RebalanceStrategy, c Cluster, i int) error {
	before, err := c.Build(s)
	if err != nil {
		return err
	}
	after, err := c.Without(i).Build(s)
	if err != nil {
		return err
	}
	for p := range c.PartitionCount {
		lost := lostOwners(before, after, p)
		if len(lost) > 1 {
			return fmt.Errorf("partition %d: %q leaves, and %v are no longer owners", p, c.Nodes[i].ID, lost)
		}
	}
	return nil
}

// WithinLimit says that no node owns more partitions than its limit. Strategies have
// different limits or none, so [Check] leaves it out.
func WithinLimit(s ring.RebalanceStrategy, c Cluster, limit func(ring.Node) int) error {
	r, err := c.Build(s)
	if err != nil {
		return err
	}
	owned := make(map[string]int)
	for _, p := range r.All() {
		for _, n := range p.All() {
			owned[n.ID()]++
		}
	}
	for _, n := range r.Nodes() {
		if most := limit(n); owned[n.ID] > most {
			return fmt.Errorf("node %q owns %d partitions, its limit is %d", n.ID, owned[n.ID], most)
		}
	}
	return nil
}

// lostOwners returns the owners of a partition that no longer own it.
func lostOwners(before, after *ring.Ring, partition int) (lost []string) {
	for _, n := range before.Placement(partition).All() {
		if !after.Placement(partition).Owns(n.ID()) {
			lost = append(lost, n.ID())
		}
	}
	return lost
}

// keepsNodes says that a strategy does not modify the nodes of a topology. If it did, the indices
// that it writes could mean other nodes than it takes them for. Tables that fail are no violation of this.
func keepsNodes(s ring.RebalanceStrategy, c Cluster, changed []ring.Node) error {
	w := &watching{RebalanceStrategy: s}
	if before, err := c.Build(w); err == nil {
		_, _ = ring.Rebuild(before, before.Config(), changed)
	}
	return w.err
}

// watching is a strategy that notices when another one modifies the nodes of a topology.
type watching struct {
	ring.RebalanceStrategy
	err error
}

func (w *watching) Assign(t ring.Topology, table ring.Table) error {
	defer w.watch("Assign", t)()
	return w.RebalanceStrategy.Assign(t, table)
}

// Derive implements [ring.Deriver] where the strategy does.
func (w *watching) Derive(from, to ring.Topology, table ring.Table) bool {
	defer w.watch("Derive", from)()
	defer w.watch("Derive", to)()
	d, ok := w.RebalanceStrategy.(ring.Deriver)
	return ok && d.Derive(from, to, table)
}

// watch returns a function that compares the nodes with those of now.
func (w *watching) watch(method string, t ring.Topology) func() {
	before := slices.Clone(t.Nodes)
	return func() {
		for i, n := range t.Nodes {
			if n != before[i] && w.err == nil {
				w.err = fmt.Errorf("%s modifies the nodes of its topology: node %d was %+v, and is %+v", method, i, before[i], n)
			}
		}
	}
}
