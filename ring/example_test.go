package ring_test

import (
	"fmt"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

var members = []ring.Node{
	{ID: "orders-1", Region: "eu", Zone: "eu-1a"},
	{ID: "orders-2", Region: "eu", Zone: "eu-1b"},
	{ID: "orders-3", Region: "eu", Zone: "eu-1c"},
	{ID: "orders-4", Region: "eu", Zone: "eu-1a"},
}

var config = ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}

func Example() {
	r, err := ring.Build(config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := r.Lookup("user:42")
	fmt.Println("partition", p.Partition())
	for i, node := range p.All() {
		fmt.Println(i, node.ID(), node.Zone())
	}
	// Output:
	// partition 3521
	// 0 orders-4 eu-1a
	// 1 orders-2 eu-1b
	// 2 orders-3 eu-1c
}

func ExamplePlacement_Prefer() {
	r, err := ring.Build(config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := r.Lookup("user:42")
	near := p.Prefer("eu", "eu-1c")
	primary, _ := near.Primary()
	fmt.Println("read from", near.At(0).ID())
	fmt.Println("write to", primary.ID())
	// Output:
	// read from orders-3
	// write to orders-4
}

func ExampleRing_Toward() {
	now, err := ring.Build(config, members[:3])
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := ring.Build(config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	now, err = now.Toward(next)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := now.Lookup("user:42")
	fmt.Println("orders-4 owns it:", p.Owns("orders-4"))
	fmt.Println("orders-4 will own it:", p.Target().Owns("orders-4"))
	// Output:
	// orders-4 owns it: false
	// orders-4 will own it: true
}

func ExampleRing_Spread() {
	r, err := ring.Build(config, members[:2])
	if err != nil {
		fmt.Println(err)
		return
	}
	s := r.Spread()
	fmt.Println("zones:", s.Zones, "under-replicated partitions:", s.UnderReplicated)
	// Output: zones: 2 under-replicated partitions: 4096
}

// A batch is grouped by primary: one request to each.
func ExampleRing_Group() {
	r, err := ring.Build(config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := []string{"user:1", "user:2", "user:3", "user:4"}
	var batch ring.Batch // used again for the next batch, so that it does not allocate
	r.Group(keys, &batch)
	for primary, positions := range batch.All() {
		for _, i := range positions {
			fmt.Println(primary.ID(), keys[i])
		}
	}
	// Output:
	// orders-1 user:1
	// orders-2 user:3
	// orders-4 user:2
	// orders-4 user:4
}

// Rebuild builds the ring of one more member from the ring before. The result equals
// the ring that Build makes.
func ExampleRebuild() {
	before, err := ring.Build(config, members[:3])
	if err != nil {
		fmt.Println(err)
		return
	}
	derived, err := ring.Rebuild(before, config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	built, err := ring.Build(config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(derived.Len(), "members, the same:", derived.Fingerprint() == built.Fingerprint())
	// Output: 4 members, the same: true
}

// While a node joins, a write goes to the serving owners and to the target owners. The
// write is acknowledged when a quorum of each has it.
func ExampleWriters() {
	now, err := ring.Build(config, members[:3])
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := ring.Build(config, members)
	if err != nil {
		fmt.Println(err)
		return
	}
	moving, err := now.Toward(next)
	if err != nil {
		fmt.Println(err)
		return
	}
	writers := ring.Writers(moving.Lookup("user:2")) // with a cluster: c.Lookup
	acknowledged := make(map[string]bool)
	for owner := range writers.All() {
		acknowledged[owner.ID()] = true // here a program sends the write to the owner
		fmt.Println(owner.ID(), "has it; enough:", writers.Enough(2, func(id string) bool { return acknowledged[id] }))
	}
	// Output:
	// orders-2 has it; enough: false
	// orders-1 has it; enough: false
	// orders-3 has it; enough: true
	// orders-4 has it; enough: true
}
