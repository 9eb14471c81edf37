package rebalance

import (
	"cmp"
	"slices"
)

// giveBackAll is what version 1 does before the race for the slots of empty seats: it sets the
// limits, and gives slots back. It returns their number.
func (s *seating) giveBackAll(c *column, first int, seats []int32, held [][]cell, donors []int32, vacant int) (given int) {
	// Each member may take its part of the slots, and one and a half times the root of it.
	part := uint64(vacant) << 16 / uint64(len(c.members))
	for _, m := range c.members {
		s.members[m].limit = s.members[m].load + (part+root(part)*3/2+s.orders[m].dither())>>16
	}
	for seat := range held {
		if c.seats[seat] == open {
			given += s.giveBack(c, first, int32(seat), seats, donors, held[seat])
		}
	}
	return given
}

// giveBack returns slots of an empty seat to the members that it had them from, and returns
// their number. When all seats above are empty too, the table is then nearly the one without these
// seats, and little moves when the highest member leaves. A member gets back at most the part
// of the slots that it has where all give equally. Rows with members of higher seats come first,
// because these members can take slots in the other rows only.
func (s *seating) giveBack(c *column, first int, seat int32, seats, donors []int32, cells []cell) (given int) {
	above := func(e cell) (n int) {
		for _, other := range seats[e.row()*c.depth:][:c.depth] {
			if other > seat {
				n++
			}
		}
		return n
	}
	slices.SortFunc(cells, func(a, b cell) int { return cmp.Or(above(b)-above(a), cmp.Compare(a, b)) })
	part := uint64(len(cells)) << 16 / uint64(len(c.seats)-1)
	got := make([]uint64, len(c.seats))
	for _, e := range cells {
		i := e.row()*c.depth + e.place()
		donor := donors[i]
		if seats[i] != seat || donor == open || c.seats[donor] == open {
			continue
		}
		m := c.seats[donor]
		if s.members[m].load >= s.members[m].limit || got[donor] > (part+s.orders[m].dither())>>16 || slices.Contains(s.row(e.row()), m) {
			continue
		}
		got[donor]++
		s.take(e.row()*s.replicas+first+e.place(), m)
		given++
	}
	return given
}
