// Package rebalance has the strategies that place partitions on members, and the plan
// that lists the moves when the members change.
//
// A strategy is a pure function: the same members give the same table in every process
// and on every architecture, whatever happened before. No strategy reads a clock, a
// random source or the order of a map. All arithmetic is on integers, except for the
// one load bound that [ConsistentHash] passes to the package consistent. All strategies
// spread the owners of a partition over zones as evenly as the zones allow, and over
// regions as far as that leaves a choice.
//
//   - [Balanced] is nearly as even as possible, and moves little more than the minimum.
//     It uses weights. It is the default of a cluster.
//   - [Rendezvous] moves the minimum: on a join or a leave only the slots that the
//     member gains or loses. Load differs between members by chance. It uses weights.
//     Take it when moving data is the main cost, or when zones are very unequal.
//   - [ConsistentHash] bounds the number of partitions of which a member is primary.
//     The tighter the bound, the more primaries move, up to three times the minimum. It
//     ignores weights for primaries. Take it when a service used a consistent-hash ring
//     before, or when primaries carry most of the load.
//   - [Ordinal] makes loads equal, and moves the minimum while members whose IDs end in a
//     number come and go at the end. It needs equal weights, and zones in turn. Take it for a
//     StatefulSet.
//   - [RoundRobin] makes loads equal up to one slot, and moves nearly all slots on each
//     change. It is for fixed memberships, and for tests that need a table that is easy
//     to predict.
//
// [Diff] compares two rings. [WhatIf] computes the ring after a planned change, and
// compares:
//
//	to, plan, err := rebalance.WhatIf(r, rebalance.Change{
//		Add:    []ring.Node{{ID: "orders-9", Zone: "eu-1b"}},
//		Remove: []string{"orders-3"},
//	})
//	if err != nil {
//		return err
//	}
//	fmt.Printf("%d of %d slots move\n", len(plan.Moves), plan.Slots)
//	for _, m := range plan.Members {
//		fmt.Println(m.ID, "gains", m.Gained, "loses", m.Lost)
//	}
//	fmt.Println("user:42 would be owned by", to.Lookup("user:42").At(0).ID())
//
// A plan lists the differences between two tables. This package neither copies data nor
// decides when a new ring replaces an old one: package cluster does.
package rebalance
