package rebalance

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
)

// A column holds the members that share some slots of every row: all slots in a cluster of
// one zone, otherwise one slot for each zone.
type column struct {
	zone    string
	depth   int     // the slots that it has in a row
	members []int32 // all of its members, by index
	seats   []int32 // the member of each seat, or open
	joiners []int32 // the members without a seat
}

// maxSpan is the largest ratio of the highest number, plus one, to the number of members.
const maxSpan = 16

// seat gives every member its seat, or returns why the strategy cannot place the members.
// In one zone the seat is the number. Otherwise it is the block, in the column of the zone.
func (o Ordinal) seat(t ring.Topology, l layout) ([]column, error) {
	zones := cmp.Or(o.Zones, 1)
	switch {
	case l.regions > 1:
		return nil, fmt.Errorf("the members are in %d regions: they must be in one", l.regions)
	case len(l.zones) > zones:
		return nil, fmt.Errorf("the members are in %d zones: set Zones, which is %d", len(l.zones), zones)
	case zones > t.Replicas && t.Replicas < len(t.Nodes):
		return nil, fmt.Errorf("a partition has %d owners, and Zones is %d: it must have at least as many owners as there are zones", t.Replicas, zones)
	}
	columns := make([]column, len(l.zones))
	for z := range columns {
		columns[z] = column{zone: l.zones[z].zone, depth: 1}
		if zones == 1 {
			columns[z] = column{depth: t.Replicas}
		}
	}
	numbers, highest := make([]int, len(t.Nodes)), -1
	for i, n := range t.Nodes {
		if n.Weight != t.Nodes[0].Weight {
			return nil, errors.New("the members have different weights: they must have one")
		}
		numbers[i] = -1
		if number, ok := o.number(n.ID); ok {
			numbers[i], highest = number, max(highest, number)
		}
		c := &columns[l.zoneOf[i]]
		c.members = append(c.members, int32(i))
	}
	if highest >= maxSpan*len(t.Nodes) {
		return nil, fmt.Errorf("the highest number is %d, with %d members: it must be less than %d times as many", highest, len(t.Nodes), maxSpan)
	}
	joiners := 0
	for z := range columns {
		c := &columns[z]
		c.take(numbers, zones)
		joiners += len(c.joiners)
	}
	if 4*joiners > len(t.Nodes) {
		return nil, fmt.Errorf("%d of %d members have no number after %q, or share zone and block of %d with another member: at most a quarter may",
			joiners, len(t.Nodes), o.Prefix, zones)
	}
	return columns, nil
}

// take gives each seat to the claimant of the lowest number.
func (c *column) take(numbers []int, zones int) {
	seats := 0
	for _, m := range c.members {
		if numbers[m] < 0 {
			c.joiners = append(c.joiners, m)
		} else {
			seats = max(seats, numbers[m]/zones+1)
		}
	}
	c.seats = make([]int32, seats)
	for i := range c.seats {
		c.seats[i] = open
	}
	for _, m := range c.members {
		if numbers[m] < 0 {
			continue
		}
		seat := &c.seats[numbers[m]/zones]
		switch {
		case *seat == open:
			*seat = m
		case numbers[m] < numbers[*seat]:
			c.joiners = append(c.joiners, *seat)
			*seat = m
		default:
			c.joiners = append(c.joiners, m)
		}
	}
}

// replay returns the seat of each slot of a column, as if the members of all seats had
// joined in order. The first own every row. Each further one takes its share, rounded down,
// from the members before it. These give slots until none has more than the new share
// rounded up, and then one slot each, beginning at a random one of them. It also returns the
// slots of each seat, and sets the backups and the donors, if there are any: the donor of a slot is the seat
// that had it before, or open. It stops early.
func replay(zone string, seats, partitions, depth int, donors []int32, b *backups, stopped func() bool) (owners []int32, held [][]cell) {
	owners = make([]int32, partitions*depth)
	held = make([][]cell, seats)
	for seat := range min(seats, depth) {
		held[seat] = make([]cell, partitions)
	}
	for slot := range owners {
		owners[slot] = open
		p, place := slot/depth, slot%depth
		if seat := (p + place) % depth; seat < seats {
			held[seat][p] = cell(p<<placeBits | place)
		}
	}
	loads := make([]int, seats)
	for seat := range held {
		loads[seat] = len(held[seat])
	}
	seed := xxhash.Sum64String(zone)
	last := make([]int32, partitions) // the last seat that took a slot of each row
	levels := [2]above{newAbove(seats), newAbove(seats)}
	for n := depth; n < seats && !stopped(); n++ {
		share := len(owners) / (n + 1)
		levels[0].lower((len(owners)+n)/(n+1), loads[:n])
		levels[1].lower(share, loads[:n])
		taken := make([]cell, 0, share)
		draw := random(mix(seed + uint64(n)*0x9e3779b97f4a7c15))
		start := draw.below(n)
		for l := range levels {
			for donor := range levels[l].from(start, n) {
				if len(taken) == share {
					break
				}
				for loads[donor] > levels[l].level && len(taken) < share {
					c := draw.cell(held[donor][:loads[donor]], last, int32(n))
					if c < 0 {
						break
					}
					loads[donor]--
					levels[0].gave(donor, loads[donor])
					levels[1].gave(donor, loads[donor])
					last[c.row()] = int32(n)
					taken = append(taken, c)
					if donors != nil {
						slot := c.row()*depth + c.place()
						donors[slot] = int32(donor)
						b.lose(donor, slot)
					}
				}
			}
		}
		held[n], loads[n] = taken, len(taken)
		b.join(seed, n, held, loads, donors, last)
	}
	for seat := range held {
		held[seat] = held[seat][:loads[seat]]
		for _, c := range held[seat] {
			owners[c.row()*depth+c.place()] = int32(seat)
		}
	}
	return owners, held
}

// above is the set of seats that have more slots than a level. Replay looks for such seats once for each
// seat, and would otherwise take time in proportion to the square of the seats.
type above struct {
	level int
	set   []uint64 // a bit for each seat
}

func newAbove(seats int) above { return above{level: -1, set: make([]uint64, (seats+63)/64)} }

// lower changes the level, and finds the seats that are above it, among those that have joined.
func (a *above) lower(level int, loads []int) {
	if level == a.level {
		return // a seat that has joined since has the share of that time, which is not above it
	}
	a.level = level
	clear(a.set)
	for seat, load := range loads {
		if load > level {
			a.set[seat/64] |= 1 << (seat % 64)
		}
	}
}

// gave is called when a seat has given a slot, and has some left.
func (a *above) gave(seat, left int) {
	if left <= a.level {
		a.set[seat/64] &^= 1 << (seat % 64)
	}
}

// from yields the seats of the set below n, from one of them on and then from zero on.
func (a *above) from(first, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, part := range [2][2]int{{first, n}, {0, first}} {
			for seat := part[0]; seat < part[1]; {
				rest := a.set[seat/64] >> (seat % 64)
				if rest == 0 {
					seat += 64 - seat%64
					continue
				}
				seat += bits.TrailingZeros64(rest)
				if seat < part[1] && !yield(seat) {
					return
				}
				seat++
			}
		}
	}
}

// A cell is a slot of a column: its row and its place in the part of the row that the column has.
// It is small, because replay moves many.
type cell int32

const placeBits = 4 // a row has at most 16 owners

func (c cell) row() int   { return int(c >> placeBits) }
func (c cell) place() int { return int(c & (1<<placeBits - 1)) }

// random is a sequence of numbers that depends on its first state only.
type random uint64

// below returns the next number, from 0 to n - 1.
func (r *random) below(n int) int {
	*r += 0x9e3779b97f4a7c15
	high, _ := bits.Mul64(mix(uint64(*r)), uint64(n))
	return int(high)
}

// cell returns a random one of the cells whose row has not been marked last, or -1, and puts
// the last of the list in its place.
func (r *random) cell(list []cell, last []int32, mark int32) cell {
	for n := len(list); n > 0; {
		i := r.below(n)
		n--
		c := list[i]
		list[i] = list[n]
		if last[c.row()] != mark {
			list[n] = list[len(list)-1]
			return c
		}
		list[n] = c
	}
	return -1
}
