package rebalance

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Bounds of the parameters of [ConsistentHash].
const (
	// minLoad is the smallest Load, in parts per thousand of the mean.
	minLoad = 1000
	// maxLoad is the largest Load, in parts per thousand of the mean.
	maxLoad = 10_000
	// maxVirtualNodes is the largest number of virtual nodes of a node.
	maxVirtualNodes = 1000
)

// ConsistentHash chooses primaries on a consistent-hash ring with bounded loads (Mirrokni,
// Thorup and Zadimoghaddam, 2018): a partition belongs to the first virtual node clockwise of
// its hash whose node has room left. Each zone has a ring of its own, and each partition a zone
// in which it has its primary. The other owners are chosen as by [Rendezvous], among the
// remaining nodes. So zones and regions are spread, and the partitions of one node share no
// fixed set of replicas.
//
// When a node leaves, at most one owner of a partition changes. With several owners in one
// zone there are exceptions: one partition of six hundred that the change affects. There are more where a
// zone has fewer than half as many nodes as the mean zone. With 100
// nodes in one zone, 4096 partitions and three owners, a join moves about 1.2 times the
// slots that must move, and with three zones of ten nodes 1.03 times.
//
// No node is primary of more than Load parts per thousand of the mean, rounded up to whole
// partitions, if the owners of the partitions permit it. Where the ring of a zone exceeds this
// bound, another owner becomes the primary. Only primaries are bounded. The number of other
// owners on a node is random. All zones have the same number of primaries on their rings,
// whatever the number of their nodes. So the nodes of a small zone among larger ones, of which
// there are more than owners, carry twice the mean and more. Where the nodes of a zone or region are
// too few for its part of every row, it has no owner in some rows: see [ConsistentHash.Yields].
//
// Weights apply to the other owners only, because the consistent-hash ring has no
// weights.
//
// Name contains the parameters, because members must agree on them. Assign returns an
// error when a parameter is out of bounds. It takes time in proportion to nodes times
// partitions, and to the square of the nodes of a zone times VirtualNodes: by default about
// a second for 1000 nodes in one zone. It is safe for concurrent use.
type ConsistentHash struct {
	// Load is the largest number of partitions a node is primary of, in
	// parts per thousand of the mean: 1250 lets a node have a quarter more.
	// Bounds: 1000 to 10,000. Zero means 1250.
	Load int
	// VirtualNodes is the number of points that a node has on the consistent-hash ring.
	// More points make the numbers of primaries more even. Bounds: 1 to
	// 1000. Zero means 20.
	VirtualNodes int
	// Version is the version of the algorithm: 1 to 4. Zero means 4. The others are for the
	// rolling change from a release that had no newer one. In version 3 rows always span as many
	// regions as their zones permit, whatever a member then carries. In versions 1 and 2 rows also
	// span as many zones as possible, whatever a member then carries. Version 1 has one
	// consistent-hash ring for all zones, so that a leave may change all owners of a row.
	Version int
}

func (c ConsistentHash) withDefaults() ConsistentHash {
	if c.Load == 0 {
		c.Load = 1250
	}
	if c.VirtualNodes == 0 {
		c.VirtualNodes = 20
	}
	c.Version = cmp.Or(c.Version, 4)
	return c
}

// Name returns the algorithm's version and its parameters, by default
// "consistent-hash/4:load=1250:vnodes=20".
func (c ConsistentHash) Name() string {
	c = c.withDefaults()
	return fmt.Sprintf("consistent-hash/%d:load=%d:vnodes=%d", c.Version, c.Load, c.VirtualNodes)
}

// Validate returns an [option.Error] for every parameter that is out of bounds,
// joined.
func (c ConsistentHash) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Load < minLoad || c.Load > maxLoad {
		errs = append(errs, &option.Error{Field: "Load", Value: c.Load, Bound: fmt.Sprintf("between %d and %d", minLoad, maxLoad)})
	}
	if c.VirtualNodes < 1 || c.VirtualNodes > maxVirtualNodes {
		errs = append(errs, &option.Error{Field: "VirtualNodes", Value: c.VirtualNodes, Bound: fmt.Sprintf("between 1 and %d", maxVirtualNodes)})
	}
	return errors.Join(append(errs, checkVersion(c.Version, 4))...)
}

// quotas returns the quotas of zones and regions.
func (c ConsistentHash) quotas(t ring.Topology, l layout) (q quotas) {
	switch c.withDefaults().Version {
	case 3:
		q = newQuotas(t, l, ringOverload, equalInOneRegion)
	case 4:
		q = newQuotas(t, l, ringOverload, equal)
		q.limitRegions(t, l, ringOverload)
	}
	return q
}

// Yields returns an error that names the zones and regions whose members are too few for their part of
// every row, and nil when there are none. Then the rows of [ConsistentHash.Assign] span as many zones
// and regions as possible.
func (c ConsistentHash) Yields(t ring.Topology) error {
	l := newLayout(t.Nodes)
	return yields(l, c.quotas(t, l))
}

// Assign implements [ring.RebalanceStrategy].
func (c ConsistentHash) Assign(t ring.Topology, table ring.Table) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("rebalance: consistent hash: %w", err)
	}
	c = c.withDefaults()
	if c.Version == 1 {
		return c.assignOneRing(t, table)
	}
	l := newLayout(t.Nodes)
	q := c.quotas(t, l)
	first := firstZones(l, q, t.PartitionCount)
	for z, zone := range l.zones {
		if t.Stopped() {
			return errStopped()
		}
		owners, err := c.ringOwners(t, zone.nodes)
		if err != nil {
			return err
		}
		for p, n := range owners {
			if first[p] == z {
				table.Row(p)[0] = n
			}
		}
	}
	if err := complete(t, table, 1, c.Version, l, q); err != nil {
		return err
	}
	return c.limitPrimaries(t, table)
}

// firstZones returns, for each partition, the zone of its first owner. It depends on the zones and
// the quotas alone, and not on the sizes of zones. So a member that leaves changes owners only in its
// own zone.
func firstZones(l layout, q quotas, partitions int) []int {
	names := ring.Topology{PartitionCount: partitions, Nodes: make([]ring.Node, len(l.zones))}
	for z, zone := range l.zones {
		names.Nodes[z] = ring.Node{ID: zone.name(), Weight: 1}
	}
	s, pick := newScorer(names, 2), newPicker(l, q, partitions)
	first := make([]int, partitions)
	for i := range first {
		p, best := newPartition(i), ^uint64(0)
		pick.begin(i)
		for z := range l.zones {
			if cost := s.cost(p, uint16(z)); cost < best && pick.room[z] > 0 && pick.regionRoom[l.zones[z].region] > 0 {
				first[i], best = z, cost
			}
		}
	}
	return first
}

// limitPrimaries lets another owner come first where the first one is the primary of as
// many partitions as the load allows.
func (c ConsistentHash) limitPrimaries(t ring.Topology, table ring.Table) error {
	members := make([]unit, len(t.Nodes))
	for i := range members {
		members[i].limit = c.primaryLimit(t.PartitionCount, len(t.Nodes))
	}
	primary := make([]int32, t.PartitionCount)
	for p := range primary {
		primary[p] = open
		row := table.Row(p)
		if i := slices.IndexFunc(row, func(n uint16) bool { return members[n].load < members[n].limit }); i >= 0 {
			primary[p] = int32(row[i])
			members[row[i]].load++
		}
	}
	fillPrimaries(primary, members, func(p int) (owners []int32) {
		for _, n := range table.Row(p) {
			owners = append(owners, int32(n))
		}
		return owners
	}, t.Stopped)
	if t.Stopped() {
		return errStopped()
	}
	for p, n := range primary {
		row := table.Row(p)
		i := slices.Index(row, uint16(n))
		row[0], row[i] = row[i], row[0]
	}
	return nil
}

// primaryLimit returns the largest number of partitions of which a node may be primary, rounded up. The
// product does not fit an int of 32 bits.
func (c ConsistentHash) primaryLimit(partitions, nodes int) uint64 {
	per := 1000 * uint64(nodes)
	return (uint64(partitions)*uint64(c.Load) + per - 1) / per
}

// assignOneRing is Assign of version 1.
func (c ConsistentHash) assignOneRing(t ring.Topology, table ring.Table) error {
	all := make([]uint16, len(t.Nodes))
	for i := range all {
		all[i] = uint16(i)
	}
	owners, err := c.ringOwners(t, all)
	if err != nil {
		return err
	}
	for p, n := range owners {
		table.Row(p)[0] = n
	}
	return complete(t, table, 1, c.Version, newLayout(t.Nodes), quotas{})
}

// ringOwners returns the owner of every partition on the consistent-hash ring of some
// nodes.
func (c ConsistentHash) ringOwners(t ring.Topology, nodes []uint16) (owners []uint16, err error) {
	owners = make([]uint16, t.PartitionCount)
	if len(nodes) == 1 {
		for p := range owners {
			owners[p] = nodes[0]
		}
		return owners, nil
	}
	// The library panics when its nodes together have no room for all
	// partitions. A load of the mean or more always leaves room, unless every
	// point of some node on the ring collides with another's.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("rebalance: consistent hash of %d partitions over %d nodes: %v", t.PartitionCount, len(nodes), v)
		}
	}()
	members := make([]consistent.Member, len(nodes))
	for i, n := range nodes {
		members[i] = point{index: n, id: t.Nodes[n].ID}
	}
	points := consistent.New(members, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    t.PartitionCount,
		ReplicationFactor: c.VirtualNodes,
		Load:              float64(c.Load) / 1000,
	})
	for p := range owners {
		owners[p] = points.GetPartitionOwner(p).(point).index
	}
	return owners, nil
}

// point is a node as the consistent package takes it.
type point struct {
	index uint16
	id    string
}

func (p point) String() string { return p.id }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
