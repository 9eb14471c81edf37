package rebalance

import "github.com/clusterkit/clusterkit/ring"

// primaries chooses the primary of every row among its owners: the first one, in the
// order in which they took their slots, that is below its limit of primaries. A
// member's share of all primaries is in proportion to its weight.
func primaries(r *race, orders []permutation, slack slack, stopped func() bool) []int32 {
	partitions := len(r.owners) / r.replicas
	members := make([]unit, len(r.units))
	for i, m := range r.units {
		members[i] = unit{weight: m.weight, limit: m.share}
	}
	divide([]unit{{share: uint64(partitions) << 16}}, members, func(u *unit) (low, high uint64) { return 0, u.limit })
	for i := range members {
		members[i].limit = slack.limit(members[i].share, orders[i].dither())
	}
	primary := make([]int32, partitions)
	for p := range primary {
		primary[p] = open
	}
	for _, slot := range r.order {
		p, u := int(slot)/r.replicas, r.owners[slot]
		if primary[p] == open && members[u].load < members[u].limit {
			primary[p] = u
			members[u].load++
		}
	}
	fillPrimaries(primary, members, func(p int) []int32 { return r.owners[p*r.replicas:][:r.replicas] }, stopped)
	return primary
}

// fillPrimaries gives the rows without a primary one of their owners. It stops early.
func fillPrimaries(primary []int32, members []unit, owners func(partition int) []int32, stopped func() bool) {
	var c *chains
	for p := range primary {
		if primary[p] != open {
			continue
		}
		if c == nil {
			c = newChains(primary, members, owners)
		}
		if stopped() {
			return
		}
		c.fill(p)
	}
}

// write fills the table: the primary first, then the other owners in the order in which
// they took their slots.
func write(r *race, primary []int32, table ring.Table) {
	next := make([]uint8, len(primary))
	for p, u := range primary {
		table.Row(p)[0] = uint16(u)
		next[p] = 1
	}
	for _, slot := range r.order {
		p := int(slot) / r.replicas
		if u := r.owners[slot]; u != primary[p] {
			table.Row(p)[next[p]] = uint16(u)
			next[p]++
		}
	}
}
