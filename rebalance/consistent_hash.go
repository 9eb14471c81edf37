package rebalance

import (
	"errors"
	"fmt"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Bounds of the parameters of [ConsistentHash].
const (
	// MinLoad is the smallest Load, in parts per thousand of the mean.
	MinLoad = 1000
	// MaxLoad is the largest Load, in parts per thousand of the mean.
	MaxLoad = 10_000
	// MaxVirtualNodes is the largest number of virtual nodes of a node.
	MaxVirtualNodes = 1000
)

// ConsistentHash chooses primaries on a consistent-hash ring with bounded loads
// (Mirrokni, Thorup and Zadimoghaddam, 2018): a partition belongs to the first
// virtual node clockwise of its hash whose node has room left. The other owners
// are chosen as by [Rendezvous], among the nodes that are left, so that zones
// and regions are spread, and that the partitions of one node share no fixed
// set of replicas.
//
// No node is primary of more than Load parts per thousand of the mean, rounded up to
// whole partitions. Only primaries are bounded; the number of other owners on a node is
// random. The tighter the bound, the more a join or a leave moves. With 100 nodes, 4096
// partitions and three owners, about 1.2 times the slots and 1.6 times the primaries
// that must move do move at a load of 1250, and 1.6 and 2.9 times as many at 1050. With
// several zones 1.2 times the slots move even when no node reaches the bound: when a
// primary moves to another zone, other owners of its row move too.
//
// Weights apply to the other owners only, because the consistent-hash ring has no
// weights.
//
// Name contains the parameters, because members must agree on them. Assign returns an
// error when a parameter is out of bounds. It takes time in proportion to nodes times
// partitions, and to the square of the nodes times VirtualNodes: by default about a
// second for 1000 nodes. It is safe for concurrent use.
type ConsistentHash struct {
	// Load is the largest number of partitions a node is primary of, in
	// parts per thousand of the mean: 1250 lets a node have a quarter more.
	// Bounds: [MinLoad] to [MaxLoad]. Zero means 1250.
	Load int
	// VirtualNodes is the number of points that a node has on the consistent-hash ring.
	// More points make the numbers of primaries more even. Bounds: 1 to
	// [MaxVirtualNodes]. Zero means 20.
	VirtualNodes int
}

func (c ConsistentHash) withDefaults() ConsistentHash {
	if c.Load == 0 {
		c.Load = 1250
	}
	if c.VirtualNodes == 0 {
		c.VirtualNodes = 20
	}
	return c
}

// Name returns the algorithm's version and its parameters, by default
// "consistent-hash/1:load=1250:vnodes=20".
func (c ConsistentHash) Name() string {
	c = c.withDefaults()
	return fmt.Sprintf("consistent-hash/1:load=%d:vnodes=%d", c.Load, c.VirtualNodes)
}

// Validate returns an [option.Error] for every parameter that is out of bounds,
// joined.
func (c ConsistentHash) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Load < MinLoad || c.Load > MaxLoad {
		errs = append(errs, &option.Error{Field: "Load", Value: c.Load, Bound: fmt.Sprintf("between %d and %d", MinLoad, MaxLoad)})
	}
	if c.VirtualNodes < 1 || c.VirtualNodes > MaxVirtualNodes {
		errs = append(errs, &option.Error{Field: "VirtualNodes", Value: c.VirtualNodes, Bound: fmt.Sprintf("between 1 and %d", MaxVirtualNodes)})
	}
	return errors.Join(errs...)
}

// Assign implements [ring.RebalanceStrategy].
func (c ConsistentHash) Assign(t ring.Topology, table ring.Table) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("rebalance: consistent hash: %w", err)
	}
	if err := c.withDefaults().primaries(t, table); err != nil {
		return err
	}
	complete(t, table, 1)
	return nil
}

// primaries writes the first owner of every row.
func (c ConsistentHash) primaries(t ring.Topology, table ring.Table) (err error) {
	// The library panics when its nodes together have no room for all
	// partitions. A load of the mean or more always leaves room, unless every
	// point of some node on the ring collides with another's.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("rebalance: consistent hash of %d partitions over %d nodes: %v", t.PartitionCount, len(t.Nodes), v)
		}
	}()
	members := make([]consistent.Member, len(t.Nodes))
	for i, n := range t.Nodes {
		members[i] = point{index: uint16(i), id: n.ID}
	}
	points := consistent.New(members, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    t.PartitionCount,
		ReplicationFactor: c.VirtualNodes,
		Load:              float64(c.Load) / 1000,
	})
	for p := range t.PartitionCount {
		table.Row(p)[0] = points.GetPartitionOwner(p).(point).index
	}
	return nil
}

// point is a node as the consistent package takes it.
type point struct {
	index uint16
	id    string
}

func (p point) String() string { return p.id }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
