package main

import (
	"context"
	"sync/atomic"

	"github.com/clusterkit/clusterkit/bench/internal/local"
	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

const replicas = 3

// ringConfig is the configuration of the rings here. The strategy is the default of a
// cluster.
func ringConfig(partitions int) ring.Config {
	return ring.Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: rebalance.Balanced{}}
}

// overRing builds a subject over a ring of the members.
func overRing(ask func(*ring.Ring) *subject) func([]string, int) (*subject, error) {
	return func(members []string, partitions int) (*subject, error) {
		r, err := ring.Build(ringConfig(partitions), ringNodes(members))
		if err != nil {
			return nil, err
		}
		return ask(r), nil
	}
}

func ringNodes(members []string) []ring.Node {
	nodes := make([]ring.Node, len(members))
	for i, id := range members {
		nodes[i].ID = id
	}
	return nodes
}

// published holds a ring as package cluster does: behind a pointer that is loaded for
// each lookup, because another goroutine may replace it.
type published struct {
	view atomic.Pointer[view]
}

type view struct {
	ring *ring.Ring
}

func (p *published) lookup(key string) ring.Placement { return p.view.Load().ring.Lookup(key) }

// clusterkitPointer is the reference: it takes as long as a lookup in a cluster, and
// can be built at any size.
var clusterkitPointer = adapter{
	name: "clusterkit atomic pointer", role: measure.Reference,
	build: overRing(func(r *ring.Ring) *subject {
		p := new(published)
		p.view.Store(&view{ring: r})
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, _ := p.lookup(key).Primary()
					sum += len(owner.ID())
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					for _, owner := range p.lookup(key).All() {
						sum += len(owner.ID())
					}
				}
				return sum
			},
		}
	}),
}

var clusterkitRing = adapter{
	name: "clusterkit ring", role: measure.Reference,
	build: overRing(func(r *ring.Ring) *subject {
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, _ := r.Lookup(key).Primary()
					sum += len(owner.ID())
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					for _, owner := range r.Lookup(key).All() {
						sum += len(owner.ID())
					}
				}
				return sum
			},
		}
	}),
}

var clusterkitBytes = adapter{
	name: "clusterkit ring, bytes", role: measure.Reference,
	build: overRing(func(r *ring.Ring) *subject {
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.raw {
					owner, _ := r.LookupBytes(key).Primary()
					sum += len(owner.ID())
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.raw {
					for _, owner := range r.LookupBytes(key).All() {
						sum += len(owner.ID())
					}
				}
				return sum
			},
		}
	}),
}

// clusterkitCluster looks keys up on one member of a running cluster. The other members
// gossip in the same process, over a network in memory. Each probes another one once a
// second: 50 members use less than 1 % of a processor; 1000 would disturb the
// measurement.
var clusterkitCluster = adapter{
	name: "clusterkit cluster", role: measure.Reference, most: 50,
	build: func(members []string, partitions int) (*subject, error) {
		options := make([]cluster.Options, len(members))
		for i, id := range members {
			options[i] = cluster.Options{
				ClusterName: "peers", NodeID: id,
				PartitionCount: partitions, ReplicationFactor: replicas,
			}
		}
		all, err := local.Start(context.Background(), options)
		if err != nil {
			return nil, err
		}
		c := all[0]
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, _ := c.Lookup(key).Primary()
					sum += len(owner.ID())
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					for _, owner := range c.Lookup(key).All() {
						sum += len(owner.ID())
					}
				}
				return sum
			},
			close: func() { local.Stop(all) },
		}, nil
	},
}
