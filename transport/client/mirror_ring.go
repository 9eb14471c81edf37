package client

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// newCopy reads the binary form of a table, and checks it.
func newCopy(etag string, data []byte) (*copied, error) {
	var p api.Placements
	if err := p.UnmarshalBinary(data); err != nil {
		return nil, err
	}
	c := &copied{etag: etag, cluster: p.ClusterName, fingerprint: p.Fingerprint, members: make(map[string]api.Endpoint, len(p.Members))}
	for _, m := range p.Members {
		c.members[m.ID] = m
	}
	var err error
	if c.ring, err = ringOf(p.Serving); err != nil {
		return nil, fmt.Errorf("the serving table: %w", err)
	}
	if p.Target == nil {
		return c, nil
	}
	target, err := ringOf(*p.Target)
	if err == nil {
		c.ring, err = c.ring.Toward(target)
	}
	if err != nil {
		return nil, fmt.Errorf("the target table: %w", err)
	}
	return c, nil
}

// ringOf returns the ring with a table. Its fingerprint tells that the ring is that of the
// member.
func ringOf(t api.PlacementTable) (*ring.Ring, error) {
	nodes := make([]ring.Node, len(t.Nodes))
	for i, n := range t.Nodes {
		if i > 0 && t.Nodes[i-1].ID >= n.ID {
			return nil, fmt.Errorf("node %q is not in ascending order", n.ID)
		}
		nodes[i] = ring.Node{ID: n.ID, Region: n.Region, Zone: n.Zone, Weight: n.Weight, Start: n.Start}
	}
	r, err := ring.Build(ring.Config{
		PartitionCount: t.PartitionCount, ReplicationFactor: t.ReplicationFactor, WriteQuorum: t.WriteQuorum, Strategy: newFinished(t.Strategy, t.Owners),
	}, nodes)
	if err != nil {
		return nil, err
	}
	if got := r.Fingerprint(); got != t.Fingerprint {
		return nil, fmt.Errorf("its fingerprint is %v, and that of its content is %v", t.Fingerprint, got)
	}
	return r, nil
}

// finished is the strategy of a table that another process has filled. It fills one table.
type finished struct {
	name   string
	owners atomic.Pointer[[]uint16]
}

func newFinished(name string, owners []uint16) *finished {
	f := &finished{name: name}
	f.owners.Store(&owners)
	return f
}

// Name returns the name of the strategy that has filled the table.
func (f *finished) Name() string { return f.name }

// Assign copies the table.
func (f *finished) Assign(_ ring.Topology, table ring.Table) error {
	owners := f.owners.Swap(nil)
	if owners == nil || len(*owners) != len(table.Slots()) {
		return errors.New("a mirror cannot compute tables: ask a member for a plan")
	}
	copy(table.Slots(), *owners)
	return nil
}
