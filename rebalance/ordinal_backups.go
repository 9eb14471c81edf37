package rebalance

import (
	"cmp"
	"slices"
)

// backups say which seat takes over each slot of an empty seat. Each empty seat has backups of
// its own, which do not depend on other empty seats: a second hole does not change the backups of
// the first.
//
// Backups come from the replay of the joins, too. The backup of a slot that a seat takes is the seat
// that it takes the slot from. Each later seat becomes the backup of its part of the slots, and no
// other backup changes. So the loss of the highest member moves only what this member has, also
// while another member is missing.
type backups struct {
	depth  int
	empty  []int     // the empty seats, in order
	counts [][]int32 // for each empty seat, the slots that each other seat takes over; nil for other seats
	of     []int32   // the backup of each slot of an empty seat, or open
}

const (
	// maxBackups is the largest number of pairs of seats that backups count. With more of them
	// there are no backups.
	maxBackups = 1 << 22
	// backupDraws is how many slots a seat looks at for each that it becomes the backup of.
	backupDraws = 12
	// fewHoles is the largest number of empty seats for which limits depend on holeSlack alone.
	fewHoles = 2
	// holeSlack says how far a member may be above its share for the sake of holes: the share over
	// holeSlack.
	holeSlack = 16
)

// newBackups returns the backups of a column for a number of seats, those of joiners included,
// before the replay. It returns nil when no seat is empty.
func newBackups(c *column, partitions int) *backups {
	b := &backups{depth: c.depth}
	for seat, m := range c.seats {
		if m == open {
			b.empty = append(b.empty, seat)
		}
	}
	all := len(c.seats) + len(c.joiners)
	if len(b.empty) == 0 || uint64(len(b.empty))*uint64(all) > maxBackups {
		return nil
	}
	b.counts, b.of = make([][]int32, all), make([]int32, partitions*c.depth)
	for _, seat := range b.empty {
		b.counts[seat] = make([]int32, all)
	}
	for slot := range b.of {
		b.of[slot] = open
	}
	return b
}

// set makes a seat the backup of a slot of an empty seat, or none.
func (b *backups) set(empty, slot int, backup int32) {
	if last := b.of[slot]; last != open {
		b.counts[empty][last]--
	}
	if b.of[slot] = backup; backup != open {
		b.counts[empty][backup]++
	}
}

func (b *backups) slot(c cell) int { return c.row()*b.depth + c.place() }

// lose forgets the backup of a slot that a seat gives to a later one.
func (b *backups) lose(seat, slot int) {
	if b != nil && b.counts[seat] != nil {
		b.set(seat, slot, open)
	}
}

// join is called when seat n has taken its slots, in rows that are marked with n. It sets the
// backups of these slots if the seat is empty, and those that the seat becomes.
func (b *backups) join(seed uint64, n int, held [][]cell, loads []int, donors, marks []int32) {
	if b == nil {
		return
	}
	for _, seat := range b.empty {
		if seat > n {
			return
		}
		switch cells := held[seat][:loads[seat]]; {
		case seat == n:
			for _, c := range cells {
				b.set(seat, b.slot(c), donors[b.slot(c)])
			}
		case n == b.depth:
			b.first(seat, n, cells, held[n], donors)
		default:
			b.share(random(mix(mix(seed+uint64(n))+uint64(seat))), seat, int32(n), cells, loads, n,
				func(c cell) bool { return marks[c.row()] == int32(n) })
		}
	}
}

// first sets the backups of a seat when rows have one more seat than owners for the first time. In
// each row it is the one seat that is not in the row.
func (b *backups) first(seat, n int, cells, taken []cell, donors []int32) {
	missing := make(map[int]int32, len(taken)) // the seat that is not in a row
	for _, c := range taken {
		missing[c.row()] = donors[b.slot(c)]
	}
	for _, c := range cells {
		backup, ok := missing[c.row()]
		if !ok {
			backup = int32(n)
		}
		b.set(seat, b.slot(c), backup)
	}
}

// share makes seat n the backup of its part of the slots of an empty seat, where others numbers the
// seats that share them. It takes them from the seats that are the backup of most. barred reports
// that seat n cannot be the backup of a slot.
func (b *backups) share(draw random, empty int, n int32, cells []cell, loads []int, others int, barred func(cell) bool) {
	if len(cells) == 0 {
		return
	}
	counts := b.counts[empty]
	more := func(slot, than int) bool {
		x, y := b.of[slot], b.of[than]
		return cmp.Or(cmp.Compare(counts[x], counts[y]), cmp.Compare(loads[x], loads[y])) > 0
	}
	part, most := (len(cells)+draw.below(others))/others, (len(cells)+others-1)/others
	for i := range most {
		best := -1 // a slot
		for range min(others, backupDraws) {
			c := cells[draw.below(len(cells))]
			if slot := b.slot(c); b.of[slot] != n && !barred(c) && (best < 0 || more(slot, best)) {
				best = slot
			}
		}
		// One more than its part, if another seat would be the backup of too many.
		if best >= 0 && (i < part || int(counts[b.of[best]]) > most) {
			b.set(empty, best, n)
		}
	}
}

// joiners makes the members without a seat backups of their parts, each in its order of
// partitions. They take them from the seats that are the backup of more. seats are the owners of all
// slots, and loads their numbers.
func (b *backups) joiners(c *column, s *seating, seats []int32, loads []int) {
	if b == nil {
		return
	}
	part := make([]int32, len(c.seats))
	for _, seat := range b.empty {
		part[seat] = int32(loads[seat] / (len(loads) - 1))
	}
	for i, m := range c.joiners {
		n := int32(len(c.seats) + i)
		for rank := range len(seats) / b.depth {
			p := int(s.orders[m].at(uint64(rank), &s.domain))
			row := seats[p*b.depth:][:b.depth]
			for place, seat := range row {
				if seat == open || int(seat) >= len(c.seats) || b.counts[seat] == nil || b.counts[seat][n] == part[seat] {
					continue
				}
				slot := p*b.depth + place
				if at := b.of[slot]; (at == open || b.counts[seat][at] > part[seat]) && !slices.Contains(row, n) {
					b.set(int(seat), slot, n)
				}
			}
		}
	}
}

// takeOver gives open slots of empty seats to the members of their backups, as far as limits
// permit, and returns their number.
func (s *seating) takeOver(b *backups, c *column, first int, seats, holders []int32) int {
	if b == nil {
		return 0
	}
	at := func(i int) int { return i/c.depth*s.replicas + first + i%c.depth }
	over := make([][]int32, len(holders)) // what the seats of members above their limits have taken over
	var given []int32
	for i, backup := range b.of {
		if backup == open || holders[backup] == open || slices.Contains(s.row(i/c.depth), holders[backup]) {
			continue
		}
		s.take(at(i), holders[backup])
		given = append(given, int32(i))
	}
	for _, i := range given {
		if m := &s.members[holders[b.of[i]]]; m.load > m.limit {
			over[b.of[i]] = append(over[b.of[i]], i)
		}
	}
	// A member above its limit gives slots back. Each is one of the empty seat whose slots have been
	// given back least, so that the loss of none of them moves many.
	back, total := make([]int, len(c.seats)), 0
	for seat, slots := range over {
		for len(slots) > 0 && s.members[holders[seat]].load > s.members[holders[seat]].limit {
			least := 0
			for j, i := range slots {
				if back[seats[i]] < back[seats[slots[least]]] {
					least = j
				}
			}
			i := slots[least]
			slots = slices.Delete(slots, least, least+1)
			s.owners[at(int(i))] = open
			s.members[holders[seat]].load--
			back[seats[i]]++
			total++
		}
	}
	return len(given) - total
}

// limit sets the limits of members for the sake of holes. For a few holes it is a part of the
// share. For more it grows with the root of the slots that each member takes over.
func (s *seating) limit(c *column, slots, vacant int) {
	members := uint64(len(c.members))
	share, over := uint64(slots)<<16/members, uint64(slots)<<16/members/holeSlack
	holes := 0
	for _, m := range c.seats {
		if m == open {
			holes++
		}
	}
	if holes > fewHoles {
		over = max(over, root(uint64(vacant)<<16/members)*3/2)
	}
	for _, m := range c.members {
		s.members[m].limit = max((share+over)>>16, (share+1<<16-1)>>16)
	}
}
