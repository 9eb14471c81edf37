package rebalance_test

import (
	"fmt"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// cluster is what a property is checked on. The checks below return what is
// wrong, so that they can serve any strategy and any way of testing it.
type cluster struct {
	nodes      []ring.Node
	partitions int
	replicas   int
}

func (c cluster) build(s ring.RebalanceStrategy) (*ring.Ring, error) {
	return ring.Build(ring.Config{PartitionCount: c.partitions, ReplicationFactor: c.replicas, Strategy: s}, c.nodes)
}

func (c cluster) with(nodes ...ring.Node) cluster {
	c.nodes = slices.Concat(c.nodes, nodes)
	return c
}

func (c cluster) without(i int) cluster {
	c.nodes = slices.Delete(slices.Clone(c.nodes), i, i+1)
	return c
}

type place struct{ region, zone string }

func placeOf(n ring.Node) place { return place{n.Region, n.Zone} }

// ownersAreComplete: every partition has as many distinct owners as asked for,
// or all nodes when there are fewer.
func ownersAreComplete(s ring.RebalanceStrategy, c cluster) error {
	r, err := c.build(s)
	if err != nil {
		return err
	}
	for p, placement := range r.All() {
		seen := make(map[string]bool)
		for _, n := range placement.All() {
			seen[n.ID()] = true
		}
		if len(seen) != min(c.replicas, len(c.nodes)) {
			return fmt.Errorf("partition %d has %d distinct owners", p, len(seen))
		}
	}
	return nil
}

// orderDoesNotMatter: another order of the same nodes gives the same ring.
func orderDoesNotMatter(s ring.RebalanceStrategy, c cluster, shuffled []ring.Node) error {
	a, err := c.build(s)
	if err != nil {
		return err
	}
	c.nodes = shuffled
	b, err := c.build(s)
	if err != nil {
		return err
	}
	if a.Fingerprint() != b.Fingerprint() {
		return fmt.Errorf("%v in one order, %v in another", a.Fingerprint(), b.Fingerprint())
	}
	return nil
}

// historyDoesNotMatter: after a node has left and rejoined, the ring is the one
// that it was.
func historyDoesNotMatter(s ring.RebalanceStrategy, c cluster, leaves int) error {
	before, err := c.build(s)
	if err != nil {
		return err
	}
	node := c.nodes[leaves]
	c = c.without(leaves)
	if _, err := c.build(s); err != nil {
		return err
	}
	after, err := c.with(node).build(s)
	if err != nil {
		return err
	}
	if before.Fingerprint() != after.Fingerprint() {
		return fmt.Errorf("%v before, %v after %q has been away", before.Fingerprint(), after.Fingerprint(), node.ID)
	}
	return nil
}

// zonesAreSpread: each row spans as many zones as it can, with counts that
// differ by one at most unless a zone has no more nodes; and as far as that
// leaves a choice, the same for regions.
func zonesAreSpread(s ring.RebalanceStrategy, c cluster) error {
	r, err := c.build(s)
	if err != nil {
		return err
	}
	for p, placement := range r.All() {
		var row []ring.Node
		for _, n := range placement.All() {
			row = append(row, n.Node())
		}
		if err := rowIsSpread(c.nodes, row); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	if spread := r.Spread(); spread.ZoneViolations+spread.RegionViolations > 0 {
		return fmt.Errorf("spread: %+v", spread)
	}
	return nil
}

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

// joinMovesToJoiner: when a node joins, slots move to it and nowhere else, one
// of a row at most.
func joinMovesToJoiner(s ring.RebalanceStrategy, c cluster, joiner ring.Node) error {
	before, err := c.build(s)
	if err != nil {
		return err
	}
	after, err := c.with(joiner).build(s)
	if err != nil {
		return err
	}
	for p := range c.partitions {
		var lost []string
		for _, n := range before.Placement(p).All() {
			if !after.Placement(p).Owns(n.ID()) {
				lost = append(lost, n.ID())
			}
		}
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

// slots counts how many partitions each node owns, and of how many it is primary.
func slots(r *ring.Ring) (owned, primary map[string]int) {
	owned, primary = make(map[string]int), make(map[string]int)
	for _, n := range r.Nodes() {
		owned[n.ID], primary[n.ID] = 0, 0
	}
	for _, p := range r.All() {
		for i, n := range p.All() {
			owned[n.ID()]++
			if i == 0 {
				primary[n.ID()]++
			}
		}
	}
	return owned, primary
}
