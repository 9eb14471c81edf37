package rebalance

import "slices"

// chains finds owners for slots that no unit with room can take. A full unit takes the
// slot and passes one of its own slots to another unit, and so on, until a unit has
// room. These are the augmenting paths of bipartite matching. The shortest is taken.
type chains struct {
	owners     []int32
	units      []unit
	candidates func(slot int) []int32 // the units that may take a slot
	held       [][]int32              // the slots of each unit
	via        []int32                // for each unit, the slot through which the search reached it, or open
}

func newChains(owners []int32, units []unit, candidates func(slot int) []int32) *chains {
	c := &chains{owners: owners, units: units, candidates: candidates, held: make([][]int32, len(units)), via: make([]int32, len(units))}
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
	var queue []int32
	slots := []int32{int32(slot)}
	for {
		for _, s := range slots {
			for _, u := range c.candidates(int(s)) {
				if c.via[u] != open {
					continue
				}
				c.via[u] = s
				if c.units[u].load < c.units[u].limit {
					c.pass(u)
					return
				}
				queue = append(queue, u)
			}
		}
		if len(queue) == 0 {
			c.pass(c.candidates(slot)[0])
			return
		}
		slots, queue = c.held[queue[0]], queue[1:]
	}
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
			i := slices.Index(c.held[last], slot)
			c.held[last] = slices.Delete(c.held[last], i, i+1)
		}
		u = last
	}
}
