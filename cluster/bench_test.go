package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

const hotKeys = 1024

// benchViews makes views of 50 members and of 49, over 4096 partitions.
func benchViews() (more, fewer *published) {
	b := view.Builder{Configurations: map[string]view.Configuration{
		"rf3:rendezvous/4": {Config: ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}},
	}}
	members := make([]membership.Member, 50)
	for i := range members {
		members[i] = membership.Member{
			ID: fmt.Sprintf("orders-%02d", i), Region: "eu-west-1", Zone: fmt.Sprintf("eu-west-1%c", 'a'+i%3), Weight: 1,
			State: membership.Active, Configurations: []string{"rf3:rendezvous/4"},
		}
	}
	first := b.Derive(members, view.Empty())
	return &published{View: *first}, &published{View: *b.Derive(members[:49], first)}
}

// BenchmarkLookup measures lookups through the view that the cluster publishes, and the
// hash alone, as the unit to compare them with. The keys have 16 bytes and are in the
// CPU's cache.
func BenchmarkLookup(b *testing.B) {
	more, fewer := benchViews()
	c := &Cluster{}
	c.view.Store(more)
	keys := make([]string, hotKeys)
	partitions := make([]int, hotKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i*7919)
		partitions[i] = c.Ring().Partition(keys[i])
	}
	shapes := []struct {
		name string
		loop func(b *testing.B) int
	}{
		{"hash", func(b *testing.B) (sum int) {
			for i := range b.N {
				sum += int(xxhash.Sum64String(keys[i&(hotKeys-1)]))
			}
			return sum
		}},
		{"primary", func(b *testing.B) (sum int) {
			for i := range b.N {
				owner, _ := c.Lookup(keys[i&(hotKeys-1)]).Primary()
				sum += len(owner.ID())
			}
			return sum
		}},
		{"primary/kept", func(b *testing.B) (sum int) {
			for i := range b.N {
				owner, _ := c.Ring().Placement(partitions[i&(hotKeys-1)]).Primary()
				sum += len(owner.ID())
			}
			return sum
		}},
		{"three/at", func(b *testing.B) (sum int) {
			for i := range b.N {
				p := c.Lookup(keys[i&(hotKeys-1)])
				for i := range p.Len() {
					sum += len(p.At(i).ID())
				}
			}
			return sum
		}},
		{"three/all", func(b *testing.B) (sum int) {
			for i := range b.N {
				for _, owner := range c.Lookup(keys[i&(hotKeys-1)]).All() {
					sum += len(owner.ID())
				}
			}
			return sum
		}},
	}
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			b.ReportAllocs()
			sink += shape.loop(b)
		})
	}
	for _, shape := range shapes {
		b.Run("publishing/"+shape.name, func(b *testing.B) {
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for v, next := more, fewer; ; v, next = next, v {
					select {
					case <-tick.C:
						c.view.Store(next)
					case <-stop:
						return
					}
				}
			}()
			b.ReportAllocs()
			sink += shape.loop(b)
			close(stop)
			<-stopped
		})
	}
}

// sink keeps the compiler from dropping the work.
var sink int
