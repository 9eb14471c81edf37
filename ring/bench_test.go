package ring_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// Results go to package variables, so that the compiler cannot drop the work.
var (
	sinkOwner ring.Owner
	sinkNode  ring.Node
	sinkHash  uint64
	sinkInt   int
	sinkBool  bool
)

const hotKeys = 1024

func benchRing(b *testing.B) *ring.Ring {
	b.Helper()
	nodes := make([]ring.Node, 50)
	for i := range nodes {
		nodes[i] = ring.Node{ID: fmt.Sprintf("orders-%02d", i), Region: "eu-west-1", Zone: fmt.Sprintf("eu-west-1%c", 'a'+i%3)}
	}
	r, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, nodes)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// benchKeys makes keys of 16 bytes.
func benchKeys(count int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i*7919)
	}
	return keys
}

// BenchmarkLookup measures each kind of lookup, with keys that are in the processor's
// cache. The case of the hash alone is the unit. All cases read the keys and add up
// their results in the same way, so that their ratios to the hash can be compared
// between machines.
func BenchmarkLookup(b *testing.B) {
	r := benchRing(b)
	keys := benchKeys(hotKeys)
	bytes := make([][]byte, hotKeys)
	partitions := make([]int, hotKeys)
	for i, key := range keys {
		bytes[i], partitions[i] = []byte(key), r.Partition(key)
	}
	run := func(name string, loop func(b *testing.B) int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			sinkInt += loop(b)
		})
	}
	run("hash", func(b *testing.B) (sum int) {
		for i := range b.N {
			sum += int(xxhash.Sum64String(keys[i&(hotKeys-1)]))
		}
		return sum
	})
	run("partition", func(b *testing.B) (sum int) {
		for i := range b.N {
			sum += r.Partition(keys[i&(hotKeys-1)])
		}
		return sum
	})
	run("primary", func(b *testing.B) (sum int) {
		for i := range b.N {
			owner, _ := r.Lookup(keys[i&(hotKeys-1)]).Primary()
			sum += len(owner.ID())
		}
		return sum
	})
	run("primary/bytes", func(b *testing.B) (sum int) {
		for i := range b.N {
			owner, _ := r.LookupBytes(bytes[i&(hotKeys-1)]).Primary()
			sum += len(owner.ID())
		}
		return sum
	})
	run("primary/kept", func(b *testing.B) (sum int) {
		for i := range b.N {
			owner, _ := r.Placement(partitions[i&(hotKeys-1)]).Primary()
			sum += len(owner.ID())
		}
		return sum
	})
	run("three/at", func(b *testing.B) (sum int) {
		for i := range b.N {
			p := r.Lookup(keys[i&(hotKeys-1)])
			for i := range p.Len() {
				sum += len(p.At(i).ID())
			}
		}
		return sum
	})
	run("three/all", func(b *testing.B) (sum int) {
		for i := range b.N {
			for _, owner := range r.Lookup(keys[i&(hotKeys-1)]).All() {
				sum += len(owner.ID())
			}
		}
		return sum
	})
	run("owns", func(b *testing.B) (sum int) {
		for i := range b.N {
			if r.Lookup(keys[i&(hotKeys-1)]).Owns("orders-17") {
				sum++
			}
		}
		return sum
	})
	run("prefer", func(b *testing.B) (sum int) {
		for i := range b.N {
			sum += len(r.Lookup(keys[i&(hotKeys-1)]).Prefer("eu-west-1", "eu-west-1b").At(0).ID())
		}
		return sum
	})
	run("token", func(b *testing.B) (sum int) {
		for i := range b.N {
			sum += int(r.Lookup(keys[i&(hotKeys-1)]).Token())
		}
		return sum
	})
}

// BenchmarkBatch compares a batch with single calls, in nanoseconds for each key.
func BenchmarkBatch(b *testing.B) {
	r := benchRing(b)
	hot := benchKeys(1024)
	// The keys are in no cache, like the keys of a request that has just arrived: there
	// are a million, and keys that follow each other are not neighbours in memory.
	cold := benchKeys(1 << 20)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(cold), func(i, j int) { cold[i], cold[j] = cold[j], cold[i] })
	for _, set := range []struct {
		name string
		keys []string
	}{{"hot", hot}, {"cold", cold}} {
		mask := len(set.keys) - 1
		b.Run(set.name+"/hash", func(b *testing.B) {
			sum := uint64(0)
			for i := range b.N {
				sum += xxhash.Sum64String(set.keys[i&mask])
			}
			sinkHash += sum
		})
		b.Run(set.name+"/single", func(b *testing.B) {
			sum := 0
			for i := range b.N {
				owner, _ := r.Lookup(set.keys[i&mask]).Primary()
				sum += len(owner.ID())
			}
			sinkInt += sum
		})
		b.Run(set.name+"/group", func(b *testing.B) {
			var batch ring.Batch
			r.Group(set.keys[:1024], &batch)
			b.ReportAllocs()
			at := 0
			for done := 0; done < b.N; done += 1024 {
				if at+1024 > len(set.keys) {
					at = 0
				}
				r.Group(set.keys[at:at+1024], &batch)
				at += 1024
				for owner, positions := range batch.All() {
					sinkInt += len(owner.ID()) + len(positions)
				}
			}
		})
	}
}
