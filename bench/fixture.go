package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// What lookups are measured on when nothing else is said.
const (
	usualMembers    = 50
	usualPartitions = 4096
	usualReplicas   = 3
	hotKeys         = 1024    // a set that stays in the caches nearest the processor
	coldKeys        = 1 << 20 // one that does not stay in any
)

// keySet returns distinct keys of a length, 16 bytes or more. Their bytes lie in
// memory in another order than the keys come in, as those of requests do; they
// are parts of one object, so that the collector has one to look at.
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

// nodes returns so many, in three zones of one region.
func nodes(count int) []ring.Node {
	all := make([]ring.Node, count)
	for i := range all {
		all[i] = ring.Node{ID: fmt.Sprintf("orders-%d", i), Region: "eu-1", Zone: zoneOf(i), Weight: 1}
	}
	return all
}

func zoneOf(i int) string { return "eu-1" + string("abc"[i%3]) }

// buildRing builds a ring by the strategy that makes it fastest: what a lookup
// costs does not depend on who placed the partitions.
func buildRing(members, partitions, replicas int) (*ring.Ring, error) {
	return ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: rebalance.RoundRobin{}}, nodes(members))
}

// published holds a ring as package cluster does, behind one atomic pointer to
// what never changes. It stands in for clusters of more members than one process
// should run, and for one whose rings change faster than gossip lets them.
type published struct{ view atomic.Pointer[publishedView] }

type publishedView struct{ ring *ring.Ring }

func publish(r *ring.Ring) *published {
	p := new(published)
	p.store(r)
	return p
}

func (p *published) store(r *ring.Ring)                  { p.view.Store(&publishedView{ring: r}) }
func (p *published) Lookup(key string) ring.Placement    { return p.view.Load().ring.Lookup(key) }
func (p *published) LookupBytes(k []byte) ring.Placement { return p.view.Load().ring.LookupBytes(k) }

// publishInterval is how often rings are published while lookups are measured,
// a hundred times as often as a cluster in turmoil would.
const publishInterval = 10 * time.Millisecond

// alternate publishes one ring after the other until the channel is closed, at
// the rate of publishInterval.
func (p *published) alternate(rings []*ring.Ring) func(done <-chan struct{}) {
	return func(done <-chan struct{}) {
		tick := time.NewTicker(publishInterval)
		defer tick.Stop()
		for i := 0; ; i++ {
			p.store(rings[i%len(rings)])
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}
}

// sizes are how large the things are that cases work on.
type sizes struct {
	members    int         // of the cluster that is asked
	cold       int         // keys in a set that no cache holds, a power of two
	partitions []int       // of the rings that are compared
	rings      []ringShape // whose building is timed
	memory     []ringShape // whose memory is told
}

// usualSizes are those of a report; a quick one builds no large rings.
func usualSizes(quick bool) sizes {
	usual, large := ringShape{usualMembers, usualPartitions, usualReplicas}, ringShape{1000, 65536, 3}
	s := sizes{
		members: usualMembers, cold: coldKeys, partitions: []int{1024, 4096, 65536, 1 << 20},
		rings:  []ringShape{usual},
		memory: []ringShape{{5, 4096, 3}, usual, {1000, 4096, 3}, large, {1000, 65536, 5}},
	}
	if !quick {
		s.rings = append(s.rings, large)
	}
	return s
}

// fixture is what cases work on.
type fixture struct {
	sizes
	// member returns a member of a cluster, which is started at the first
	// call and runs until stop.
	member func() (*cluster.Cluster, error)
	stop   func()
}

// newFixture returns a fixture of some sizes. Nothing of it is made before it is
// asked for.
func newFixture(ctx context.Context, s sizes) *fixture {
	var all []*cluster.Cluster
	return &fixture{
		sizes: s,
		member: sync.OnceValues(func() (c *cluster.Cluster, err error) {
			ctx, cancel := context.WithTimeout(ctx, startPatience)
			defer cancel()
			all, err = startCluster(ctx, s.members)
			if err != nil {
				return nil, fmt.Errorf("starting a cluster of %d: %w", s.members, err)
			}
			return all[0], nil
		}),
		stop: func() { stopAll(all) },
	}
}

// startPatience is how long a cluster may take to start, on a slow machine.
const startPatience = 2 * time.Minute

// startCluster starts members that gossip over a network in memory, the first
// with HTTP on a loopback address, and waits until they agree. Fifty of them take
// four hundredths of a processor while nothing happens.
func startCluster(ctx context.Context, members int) ([]*cluster.Cluster, error) {
	network, err := memnet.New(memnet.Options{Seed: 1})
	if err != nil {
		return nil, err
	}
	all := make([]*cluster.Cluster, 0, members)
	for i := range members {
		o := cluster.Options{
			ClusterName: "orders", NodeID: fmt.Sprintf("orders-%d", i), Region: "eu-1", Zone: zoneOf(i),
			GossipAddr: fmt.Sprintf("10.0.%d.%d:7946", i/250, i%250+1), Seeds: []string{"10.0.0.1:7946"},
			PartitionCount: usualPartitions, ReplicationFactor: usualReplicas,
			Gossip: membership.GossipOptions{Network: network}, Logger: slog.New(slog.DiscardHandler),
		}
		if i == 0 {
			o.HTTPAddr = "127.0.0.1:0"
		}
		c, err := cluster.New(o)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	errs := make([]error, members)
	errs[0] = all[0].Start(ctx)
	var started sync.WaitGroup
	for i, c := range all[1:] {
		started.Go(func() { errs[i+1] = c.Start(ctx) })
	}
	started.Wait()
	err = errors.Join(errs...)
	for err == nil && all[0].Ring().Len() < members {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err == nil {
		err = all[0].WaitConverged(ctx)
	}
	if err != nil {
		stopAll(all)
		return nil, err
	}
	return all, nil
}

// stopAll stops members without waiting for them to take leave of each other.
func stopAll(all []*cluster.Cluster) {
	var stopped sync.WaitGroup
	for _, c := range all {
		stopped.Go(func() {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = c.Stop(ended)
		})
	}
	stopped.Wait()
}
