package rebalance_test

import (
	"fmt"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

func members() []ring.Node {
	return []ring.Node{
		{ID: "orders-1", Zone: "eu-1a"}, {ID: "orders-2", Zone: "eu-1b"}, {ID: "orders-3", Zone: "eu-1c"},
		{ID: "orders-4", Zone: "eu-1a"}, {ID: "orders-5", Zone: "eu-1b"}, {ID: "orders-6", Zone: "eu-1c"},
	}
}

func ExampleWhatIf() {
	r, err := ring.Build(ring.Config{PartitionCount: 1024, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, members())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, plan, err := rebalance.WhatIf(r, rebalance.Change{Add: []ring.Node{{ID: "orders-7", Zone: "eu-1b"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d slots move, %d primaries change\n", len(plan.Moves), plan.Slots, plan.PrimaryChanges)
	for _, m := range plan.Members {
		fmt.Println(m.ID, "gains", m.Gained, "loses", m.Lost)
	}
	// Output:
	// 326 of 3072 slots move, 147 primaries change
	// orders-2 gains 0 loses 163
	// orders-5 gains 0 loses 163
	// orders-7 gains 326 loses 0
}

func ExampleDiff() {
	build := func(s ring.RebalanceStrategy) *ring.Ring {
		r, err := ring.Build(ring.Config{PartitionCount: 6, ReplicationFactor: 2, Strategy: s}, members()[:3])
		if err != nil {
			panic(err)
		}
		return r
	}
	plan, err := rebalance.Diff(build(rebalance.RoundRobin{}), build(rebalance.Rendezvous{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range plan.Moves {
		fmt.Printf("partition %d: %s to %s\n", m.Partition, m.From, m.To)
	}
	// Output:
	// partition 0: orders-2 to orders-3
	// partition 1: orders-1 to orders-2
	// partition 2: orders-3 to orders-1
	// partition 3: orders-2 to orders-3
	// partition 4: orders-3 to orders-2
}

func ExampleConsistentHash() {
	s := rebalance.ConsistentHash{Load: 1100}
	fmt.Println(s.Name())
	fmt.Println(rebalance.ConsistentHash{Load: 900}.Validate())
	// Output:
	// consistent-hash/4:load=1100:vnodes=20
	// Load is 900: must be between 1000 and 10000
}

// The load of the fullest of a hundred members by strategy, without a limit and with
// one, and the number of slots that move when one more member joins.
func ExampleBalanced() {
	var nodes []ring.Node
	for i := range 100 {
		nodes = append(nodes, ring.Node{ID: fmt.Sprint("orders-", i)})
	}
	for _, s := range []ring.RebalanceStrategy{rebalance.Rendezvous{}, rebalance.Balanced{}, rebalance.Balanced{Slack: option.None}} {
		r, err := ring.Build(ring.Config{PartitionCount: 4096, ReplicationFactor: 3, Strategy: s}, nodes)
		if err != nil {
			fmt.Println(err)
			return
		}
		counts, fullest := make(map[string]int), 0
		for _, p := range r.All() {
			for _, owner := range p.All() {
				counts[owner.ID()]++
				fullest = max(fullest, counts[owner.ID()])
			}
		}
		_, plan, err := rebalance.WhatIf(r, rebalance.Change{Add: []ring.Node{{ID: "orders-100"}}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %d slots at most, 123 on average; a new member moves %d\n", s.Name(), fullest, len(plan.Moves))
	}
	// Output:
	// rendezvous/4: 141 slots at most, 123 on average; a new member moves 128
	// balanced/3: 131 slots at most, 123 on average; a new member moves 136
	// balanced/3:slack=exact: 123 slots at most, 123 on average; a new member moves 196
}
