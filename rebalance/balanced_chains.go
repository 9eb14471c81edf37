package rebalance

import "slices"

// chains finds owners for slots that no unit with room can take. A full unit takes the
// slot and passes one of its own slots to another unit, and so on, until a unit has
// room. These are the augmenting paths of bipartite matching. The shortest is taken.
type chains struct {
	owners     []int32
	units      []unit
	candidates func(slot int) []int32 // the units that may take a slot
	held       [][]int32              // the slots of each unit, or open for one that it has passed on
	tried      []int                  // how many slots of each unit, from the first on, no unit with room may take
	via        []int32                // for each unit, the slot through which the search reached it, or open
}

func newChains(owners []int32, units []unit, candidates func(slot int) []int32) *chains {
	c := &chains{
		owners: owners, units: units, candidates: candidates,
		held: make([][]int32, len(units)), tried: make([]int, len(units)), via: make([]int32, len(units)),
	}
	for slot, u := range owners {
		if u >= 0 {
			c.held[u] = append(c.held[u], int32(slot))
		}
	}
	return c
}

// fill gives an open slot an owner. If there is no chain, the owner exceeds its limit.
func (c *chains) fill(slot int) {
	for u := range c.via {
		c.via[u] = open
	}
	if u := c.roomy(slot); u != open {
		c.via[u] = int32(slot)
		c.pass(u)
		return
	}
	for queue := c.reach(nil, slot); len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		held := c.held[from]
		for ; c.tried[from] < len(held); c.tried[from]++ {
			s := held[c.tried[from]]
			if s == open {
				continue
			}
			if u := c.roomy(int(s)); u != open {
				c.via[u] = s
				c.pass(u)
				return
			}
		}
		for _, s := range held {
			if s != open {
				queue = c.reach(queue, int(s))
			}
		}
	}
	c.pass(c.candidates(slot)[0])
}

// roomy returns the first unit with room that may take a slot, or open. For one slot it never goes
// from open to a unit: units lose room only, and a unit that leaves the slot's row is full.
func (c *chains) roomy(slot int) int32 {
	for _, u := range c.candidates(slot) {
		if c.units[u].load < c.units[u].limit {
			return u
		}
	}
	return open
}

// reach adds the units that may take a slot to the queue, unless the search has reached them.
func (c *chains) reach(queue []int32, slot int) []int32 {
	for _, u := range c.candidates(slot) {
		if c.via[u] == open {
			c.via[u] = int32(slot)
			queue = append(queue, u)
		}
	}
	return queue
}

// pass moves every slot of the chain that ends with a unit that has room.
func (c *chains) pass(u int32) {
	c.units[u].load++
	for u != open {
		slot := c.via[u]
		last := c.owners[slot]
		c.owners[slot] = u
		c.held[u] = append(c.held[u], slot)
		if last != open {
			i := c.tried[last] // mostly
			if i == len(c.held[last]) || c.held[last][i] != slot {
				i = slices.Index(c.held[last], slot)
			}
			c.held[last][i] = open
		}
		u = last
	}
}
