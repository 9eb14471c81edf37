package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/local"
	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// The ring and the keys of a lookup, unless a case has its own.
const (
	usualMembers    = 50
	usualPartitions = 4096
	usualReplicas   = 3
	hotKeys         = 1024    // a set that stays in the fastest caches
	coldKeys        = 1 << 20 // a set that fits no cache
)

// keySet returns distinct keys of a length, 16 bytes or more. As with requests, the
// order of the keys is not their order in memory. They are parts of one object, so that
// the garbage collector has only one object to scan.
func keySet[K string | []byte](count, length int) []K {
	random := rand.New(rand.NewPCG(uint64(count), uint64(length)))
	content := make([]byte, 0, count*length)
	for i := range count {
		content = fmt.Appendf(content, "user:%011x", i)
		for range length - 16 {
			content = append(content, 'a'+byte(random.IntN(26)))
		}
	}
	whole, keys := K(content), make([]K, count)
	for i, at := range random.Perm(count) {
		keys[i] = whole[at*length : (at+1)*length]
	}
	return keys
}

// nodes returns nodes in three zones of one region.
func nodes(count int) []ring.Node {
	all := make([]ring.Node, count)
	for i := range all {
		all[i] = ring.Node{ID: fmt.Sprintf("orders-%d", i), Region: "eu-1", Zone: "eu-1" + string("abc"[i%3]), Weight: 1}
	}
	return all
}

// buildRing builds a ring by the strategy that is fastest to compute: the cost of
// a lookup does not depend on the strategy.
func buildRing(members, partitions, replicas int) (*ring.Ring, error) {
	return ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: rebalance.RoundRobin{}}, nodes(members))
}

// published holds a ring as package cluster does: behind an atomic pointer to an
// immutable value. It replaces clusters that are too large for one process, and a
// cluster whose rings change faster than gossip allows.
type published struct{ view atomic.Pointer[publishedView] }

type publishedView struct{ ring *ring.Ring }

func publish(r *ring.Ring) *published {
	p := new(published)
	p.store(r)
	return p
}

func publishRing(members, partitions, replicas int) (*published, error) {
	r, err := buildRing(members, partitions, replicas)
	return publish(r), err
}

func (p *published) store(r *ring.Ring)                  { p.view.Store(&publishedView{ring: r}) }
func (p *published) Lookup(key string) ring.Placement    { return p.view.Load().ring.Lookup(key) }
func (p *published) LookupBytes(k []byte) ring.Placement { return p.view.Load().ring.LookupBytes(k) }

// publishInterval is the time between two rings while lookups are measured. Rings
// change a hundred times as often as in a cluster whose members change all the time.
const publishInterval = 10 * time.Millisecond

// publishing stores the i-th ring that next returns, every publishInterval, until
// the channel is closed or next fails.
func (p *published) publishing(done <-chan struct{}, next func(i int) (*ring.Ring, error)) error {
	tick := time.NewTicker(publishInterval)
	defer tick.Stop()
	for i := 0; ; i++ {
		r, err := next(i)
		if err != nil {
			return err
		}
		p.store(r)
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
	}
}

// alternate publishes two rings in turn.
func (p *published) alternate(before, after *ring.Ring) func(done <-chan struct{}) {
	return func(done <-chan struct{}) {
		_ = p.publishing(done, func(i int) (*ring.Ring, error) { return [...]*ring.Ring{before, after}[i%2], nil })
	}
}

// fixture holds the rings, keys and members that cases use. Each is made when the first
// case needs it.
type fixture struct {
	sizes
	// member returns a member of a cluster, which runs until stop.
	member func() (*cluster.Cluster, error)
	stop   func()
}

func newFixture(s sizes) *fixture {
	var all []*cluster.Cluster
	return &fixture{
		sizes: s,
		member: sync.OnceValues(func() (*cluster.Cluster, error) {
			options := make([]cluster.Options, s.members)
			for i, n := range nodes(s.members) {
				options[i] = cluster.Options{
					ClusterName: "orders", NodeID: n.ID, Region: n.Region, Zone: n.Zone,
					PartitionCount: usualPartitions, ReplicationFactor: usualReplicas,
				}
			}
			options[0].HTTPAddr = "127.0.0.1:0"
			var err error
			if all, err = local.Start(context.Background(), options); err != nil {
				return nil, err
			}
			return all[0], nil
		}),
		stop: func() { local.Stop(all) },
	}
}
