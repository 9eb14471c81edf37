package ring_test

import (
	"fmt"
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

func benchRing(b *testing.B) (*ring.Ring, []string) {
	b.Helper()
	nodes := make([]ring.Node, 30)
	for i := range nodes {
		nodes[i] = ring.Node{ID: fmt.Sprintf("orders-%d", i), Region: "eu-west-1", Zone: fmt.Sprintf("eu-west-1%c", 'a'+i%3)}
	}
	r, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, nodes)
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 1024) // 16 bytes each
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i*7919)
	}
	return r, keys
}

func BenchmarkHashAlone(b *testing.B) {
	_, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		sinkHash = xxhash.Sum64String(keys[i%1024])
	}
}

func BenchmarkPrimaryID(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		n, _ := r.Lookup(keys[i%1024]).Primary()
		sinkInt = len(n.ID())
	}
}

func BenchmarkPrimary(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		sinkOwner, sinkBool = r.Lookup(keys[i%1024]).Primary()
	}
}

func BenchmarkAt(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		p := r.Lookup(keys[i%1024])
		for i := range p.Len() {
			sinkInt += len(p.At(i).ID())
		}
	}
}

func BenchmarkAll(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		for _, n := range r.Lookup(keys[i%1024]).All() {
			sinkInt += len(n.ID())
		}
	}
}

func BenchmarkOwns(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		sinkBool = r.Lookup(keys[i%1024]).Owns("orders-17")
	}
}

func BenchmarkPrefer(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		sinkInt = len(r.Lookup(keys[i%1024]).Prefer("eu-west-1", "eu-west-1b").At(0).ID())
	}
}

func BenchmarkToken(b *testing.B) {
	r, keys := benchRing(b)
	for i := 0; b.Loop(); i++ {
		sinkHash = uint64(r.Lookup(keys[i%1024]).Token())
	}
}
