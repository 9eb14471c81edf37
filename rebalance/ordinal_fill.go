package rebalance

import (
	"cmp"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// A seating fills the slots of all rows. In each row the columns come first, then the slots
// that are in no column.
type seating struct {
	replicas   int
	owners     []int32 // the member of each slot, or open
	zones      []int32 // the zone of each slot, or open
	levelZones []unit
	members    []unit
	limits     []uint64 // the limits of members in the race for slots that are in no column
	orders     []permutation
	domain     domain
	version    int // the version of the algorithm
	stopped    func() bool
}

func newSeating(t ring.Topology, l layout, orders []permutation, version int) *seating {
	levels := newLevels(t, l, orders, slack(0), option.None)
	s := &seating{
		replicas: t.Replicas, levelZones: levels[2], members: levels[3], orders: orders, domain: newDomain(t.PartitionCount),
		version: version, stopped: t.Stopped,
		owners: make([]int32, t.PartitionCount*t.Replicas), zones: make([]int32, t.PartitionCount*t.Replicas),
	}
	for slot := range s.owners {
		s.owners[slot], s.zones[slot] = open, open
	}
	for _, m := range s.members {
		s.limits = append(s.limits, m.limit)
	}
	return s
}

func (s *seating) row(p int) []int32 { return s.owners[p*s.replicas:][:s.replicas] }

func (s *seating) take(slot int, m int32) {
	s.owners[slot], s.zones[slot] = m, s.members[m].group
	s.members[m].load++
}

// column fills the slots of a column, the first of which has a place in the row. A column
// that is all of a row comes first in it too.
func (s *seating) column(c *column, first int) {
	partitions := len(s.owners) / s.replicas
	var b *backups
	var donors []int32
	if slices.Contains(c.seats, open) {
		donors = slices.Repeat([]int32{open}, partitions*c.depth)
		if s.version > 1 {
			b = newBackups(c, partitions)
		}
	}
	seats, held := replay(c.zone, len(c.seats), partitions, c.depth, donors, b, s.stopped)
	if s.stopped() {
		return
	}
	holders := c.admit(s, seats, held, b)
	vacant := 0
	for i, holder := range seats {
		slot := i/c.depth*s.replicas + first + i%c.depth
		s.zones[slot] = s.members[c.members[0]].group
		if holder == open || holders[holder] == open {
			vacant++
		} else {
			s.take(slot, holders[holder])
		}
	}
	if vacant == 0 {
		return
	}
	if s.version == 1 {
		vacant -= s.giveBackAll(c, first, seats, held, donors, vacant)
	} else {
		s.limit(c, len(seats), vacant)
		vacant -= s.takeOver(b, c, first, seats, holders)
	}
	s.race(c.members, vacant, func(m int32, p int) int {
		row := s.row(p)
		found := slices.Index(row[first:first+c.depth], open)
		if found < 0 || slices.Contains(row, m) {
			return -1
		}
		return p*s.replicas + first + found
	})
	s.finish()
}

// admit lets the members without a seat take their shares from the seats, and returns the
// members of all seats, with theirs at the end. An empty seat gives slots as if its member
// were there, so that a hole does not change what they take. They also become backups, if there are any.
func (c *column) admit(s *seating, seats []int32, held [][]cell, b *backups) []int32 {
	holders := append(slices.Clone(c.seats), c.joiners...)
	if len(c.joiners) == 0 || len(c.seats) == 0 {
		return holders
	}
	share := len(seats) / len(holders)
	loads := make([]int, len(holders))
	for i := range held {
		loads[i] = len(held[i])
	}
	for rank := range len(seats) / c.depth {
		for i := len(c.seats); i < len(holders); i++ {
			if loads[i] == share {
				continue
			}
			p := int(s.orders[holders[i]].at(uint64(rank), &s.domain))
			row := seats[p*c.depth:][:c.depth]
			from := slices.IndexFunc(row, func(seat int32) bool { return seat != open && int(seat) < len(c.seats) && loads[seat] > share })
			if from < 0 || slices.Contains(row, int32(i)) {
				continue
			}
			loads[row[from]]--
			b.lose(int(row[from]), p*c.depth+from)
			loads[i]++
			row[from] = int32(i)
		}
	}
	b.joiners(c, s, seats, loads)
	return holders
}

// float fills the slots that are in no column, because a row has more owners than there are
// zones. Rows take them from zones as the rows of [Balanced] do.
func (s *seating) float() {
	vacant := 0
	for _, owner := range s.owners {
		if owner == open {
			vacant++
		}
	}
	if vacant == 0 {
		return
	}
	all := make([]int32, len(s.members))
	for m := range all {
		all[m] = int32(m)
		s.members[m].limit = s.limits[m]
	}
	s.race(all, vacant, func(m int32, p int) int {
		row := s.row(p)
		found := slices.Index(row, open)
		if found < 0 || slices.Contains(row, m) || !s.accepts(p, s.members[m].group) {
			return -1
		}
		return p*s.replicas + found
	})
	for slot, owner := range s.owners {
		if owner == open {
			s.zones[slot] = s.roomiest(slot / s.replicas)
		}
	}
	s.finish()
}

// accepts reports whether a row may take one more owner of a zone.
func (s *seating) accepts(p int, zone int32) bool {
	var counts [maxZones]uint64
	for _, z := range s.zones[p*s.replicas:][:s.replicas] {
		if z != open {
			counts[z]++
		}
	}
	if counts[zone] < s.levelZones[zone].low {
		return true
	}
	left := uint64(s.replicas) // the owners that zones may have beyond those that they must have
	for z, u := range s.levelZones {
		left -= max(counts[z], u.low)
	}
	return counts[zone] < s.levelZones[zone].high && left > 0
}

// roomiest returns the zone, of those from which a row may take one more owner, whose
// members are together furthest below their limits.
func (s *seating) roomiest(p int) int32 {
	best, most := open, -1
	for z := range s.levelZones {
		if !s.accepts(p, int32(z)) {
			continue
		}
		room := 0
		for _, m := range s.members {
			if m.group == int32(z) {
				room += int(m.limit) - int(min(m.load, m.limit))
			}
		}
		if room > most {
			best, most = int32(z), room
		}
	}
	return best
}

// race lets members propose, each to the partitions in its order, until the vacant slots
// are taken or proposals are in vain. find returns the slot that a member may take in a row,
// or -1.
func (s *seating) race(members []int32, vacant int, find func(m int32, p int) int) {
	partitions := len(s.owners) / s.replicas
	in := slices.Clone(members)
	for rank, vain := 0, 0; rank < partitions && vacant > 0 && len(in) > 0 && vain < 4*partitions; rank++ {
		left := in[:0]
		for _, m := range in {
			if s.members[m].load >= s.members[m].limit {
				continue
			}
			left = append(left, m)
			vain++
			if slot := find(m, int(s.orders[m].at(uint64(rank), &s.domain))); slot >= 0 {
				s.take(slot, m)
				vacant--
				vain = 0
			}
		}
		in = left
	}
}

// finish fills the open slots of known zones that the race has left, along chains of members of
// the slot's zone.
func (s *seating) finish() {
	var c *chains
	var list []int32
	for slot, owner := range s.owners {
		if owner != open || s.zones[slot] == open {
			continue
		}
		if c == nil {
			c = newChains(s.owners, s.members, func(slot int) []int32 {
				list = list[:0]
				row := s.row(slot / s.replicas)
				for m := range s.members {
					if s.members[m].group == s.zones[slot] && !slices.Contains(row, int32(m)) {
						list = append(list, int32(m))
					}
				}
				return list
			})
		}
		c.fill(slot)
	}
}

// ranked returns the table as the end of a race in which the owners of each row have taken
// their slots in this order: one column after the other, in an order of columns that the
// zones prefer for this row, and then the slots that are in no column. A newcomer takes over
// the place of the owner that it replaces, so that few primaries change.
func (s *seating) ranked(columns []column) *race {
	partitions := len(s.owners) / s.replicas
	prefer := make([]permutation, len(columns))
	for i, c := range columns {
		prefer[i] = newPermutation(c.zone)
	}
	order := make([]int32, len(s.owners))
	ranks, places := make([]uint64, len(columns)), make([]int, s.replicas)
	for p := range partitions {
		for i := range places {
			places[i] = i
		}
		if len(columns) > 1 {
			for i := range ranks {
				ranks[i] = prefer[i].rank(uint64(p), &s.domain)
			}
			slices.SortStableFunc(places[:len(columns)], func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
		}
		for i, place := range places {
			order[i*partitions+p] = int32(p*s.replicas + place)
		}
	}
	return &race{replicas: s.replicas, units: s.members, owners: s.owners, order: order}
}
