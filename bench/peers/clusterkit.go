package main

import (
	"sync/atomic"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

const replicas = 3

// ringConfig is what rings are built with here.
func ringConfig(partitions int) ring.Config {
	return ring.Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: rebalance.Rendezvous{}}
}

func ringNodes(members []string) []ring.Node {
	nodes := make([]ring.Node, len(members))
	for i, id := range members {
		nodes[i].ID = id
	}
	return nodes
}

// placementIDs are the IDs of a placement's owners.
func placementIDs(p ring.Placement) ([]string, error) {
	var ids []string
	for _, owner := range p.All() {
		ids = append(ids, owner.ID())
	}
	return ids, nil
}

func primaryID(p ring.Placement) ([]string, error) {
	owner, _ := p.Primary()
	return []string{owner.ID()}, nil
}

var clusterkitRing = adapter{
	name: "clusterkit ring", kind: isOurs, pays: "a table; no lock, no allocation",
	build: func(members []string, partitions int) (*subject, error) {
		r, err := ring.Build(ringConfig(partitions), ringNodes(members))
		if err != nil {
			return nil, err
		}
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owner, _ := r.Lookup(key).Primary()
						sum += len(owner.ID())
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return primaryID(r.Lookup(k.text[0])) },
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						for _, owner := range r.Lookup(key).All() {
							sum += len(owner.ID())
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return placementIDs(r.Lookup(k.text[0])) },
			},
		}, nil
	},
}

var clusterkitBytes = adapter{
	name: "clusterkit ring, bytes", kind: isOurs, pays: "a table; no lock, no allocation",
	build: func(members []string, partitions int) (*subject, error) {
		r, err := ring.Build(ringConfig(partitions), ringNodes(members))
		if err != nil {
			return nil, err
		}
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.raw {
						owner, _ := r.LookupBytes(key).Primary()
						sum += len(owner.ID())
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return primaryID(r.LookupBytes(k.raw[0])) },
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.raw {
						for _, owner := range r.LookupBytes(key).All() {
							sum += len(owner.ID())
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return placementIDs(r.LookupBytes(k.raw[0])) },
			},
		}, nil
	},
}

// published is how package cluster holds its ring: behind a pointer that is
// loaded anew for each look-up, because another goroutine may replace it.
type published struct {
	view atomic.Pointer[view]
}

type view struct {
	ring *ring.Ring
}

func (p *published) lookup(key string) ring.Placement { return p.view.Load().ring.Lookup(key) }

var clusterkitPointer = adapter{
	name: "clusterkit atomic pointer", kind: isOurs, pays: "a pointer, a table; no lock, no allocation",
	build: func(members []string, partitions int) (*subject, error) {
		r, err := ring.Build(ringConfig(partitions), ringNodes(members))
		if err != nil {
			return nil, err
		}
		p := new(published)
		p.view.Store(&view{ring: r})
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owner, _ := p.lookup(key).Primary()
						sum += len(owner.ID())
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return primaryID(p.lookup(k.text[0])) },
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						for _, owner := range p.lookup(key).All() {
							sum += len(owner.ID())
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return placementIDs(p.lookup(k.text[0])) },
			},
		}, nil
	},
}
