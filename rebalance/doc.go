// Package rebalance has the strategies that place partitions on members, and
// the plan that says what moves when the members change.
//
// A strategy is a pure function: the same members give the same table in every
// process and on every architecture, whatever happened before. None reads a
// clock, a random source or the order of a map, and all arithmetic is on
// integers, but for the one load bound that [ConsistentHash] hands to the
// library below it. All of them spread the owners of a partition over zones as
// evenly as the zones allow, and over regions as far as that leaves a choice.
//
//   - [Balanced] is nearly as even as can be and moves little more than it must.
//     It honours weights. It is what a cluster uses unless told otherwise.
//   - [Rendezvous] moves the least: on a join or a leave only what the member
//     gains or loses. Load differs between members as chance has it. It honours
//     weights. Take it when moving data is all that costs, or when zones are very
//     unequal.
//   - [ConsistentHash] bounds how many partitions a member is primary of, and
//     moves up to three times the primaries that must move, the tighter the
//     bound the more. It does not know weights. Take it when a cluster comes
//     from a consistent-hash ring, or when primaries carry most of the load.
//   - [RoundRobin] evens load out to one slot and moves nearly everything. It is
//     for fixed memberships, and for tests that want a table one can foretell.
//
// [Diff] compares two rings; [WhatIf] does so for a change that has not
// happened yet:
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
// A plan says what differs between two tables. Copying the data, and deciding
// when a ring gives way to the next, is not done here.
package rebalance
