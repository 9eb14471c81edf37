package handoff

import (
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// maxPast is how many changes of the serving owners a process remembers, for partitions that it owns
// later.
const maxPast = 32

// row is the owners of a placement, in their order.
type row [16]ring.Owner

// rows numbers the different rows of a ring. So the memory of a process grows with the number of different
// rows, not with the number of partitions.
type rows struct {
	numbers map[[2]row]int
	places  []ring.Placement // by number, one that has the rows
	owners  []*owners        // by number; nil until they are needed
}

// number returns the number of the serving owners of a placement or, with its target, of these and the
// target owners.
func (r *rows) number(place ring.Placement, withTarget bool) int {
	var key [2]row
	for i, o := range place.All() {
		key[0][i] = o
	}
	if target := place.Target(); withTarget && target != place {
		for i, o := range target.All() {
			key[1][i] = o
		}
	}
	number, known := r.numbers[key]
	if !known {
		if number = len(r.places); number == 0 {
			r.numbers = make(map[[2]row]int)
		}
		r.numbers[key], r.places, r.owners = number, append(r.places, place), append(r.owners, nil)
	}
	return number
}

// of returns the owners with a number.
func (r *rows) of(number int, s *surroundings) *owners {
	if r.owners[number] == nil {
		o := s.ownersOf(r.places[number])
		o.served, r.owners[number] = s.share(o.serving), o
	}
	return r.owners[number]
}

// ownersOf returns the owners of a placement.
func (s *surroundings) ownersOf(place ring.Placement) *owners {
	processes := func(place ring.Placement) (members set) {
		for _, o := range place.All() {
			members = append(members, s.process(o.Node()))
		}
		return newSet(members...)
	}
	o := &owners{serving: processes(place), target: processes(place.Target()), own: owns(place, s.self.ID)}
	o.all = newSet(slices.Concat(o.serving, o.target)...)
	return o
}

// comparison is what differs between two rings, whatever a machine knows of the partitions.
type comparison struct {
	before, after *ring.Ring
	all           bool // every partition counts as moved
	was, now      rows
	parts         []difference // by partition; none where the two rings are one
	moved         int
}

// difference says whether the owners of a partition differ between two rings.
type difference struct {
	moved bool
	was   uint32 // if moved, the number of its rows before
	now   uint32 // if moved, the number of its rows after
}

// compare compares two rings. It reads every partition.
func compare(before, after *ring.Ring, all bool) *comparison {
	c := &comparison{before: before, after: after, all: all}
	if before == after && !all {
		return c
	}
	c.parts = make([]difference, after.PartitionCount())
	for p, place := range after.All() {
		if had := before.Placement(p); all || had.Token() != place.Token() {
			c.moved++
			c.parts[p] = difference{true, uint32(c.was.number(had, false)), uint32(c.now.number(place, true))}
		}
	}
	return c
}

// of returns what moved of a partition.
func (c *comparison) of(p int) difference {
	if p < len(c.parts) {
		return c.parts[p]
	}
	return difference{}
}

// era is what one view ended: of each partition whose serving owners changed, the set that served until
// then.
type era struct {
	quorums quorums
	owners  []*owners // the owners in the view before, by number
	low     numbers
	high    numbers
}

// numbers has one byte for each partition, in chunks. A nil chunk stands for zeros.
type numbers []*[64]uint8

func (n *numbers) set(p, partitions int, value uint8) {
	if *n == nil {
		*n = make(numbers, (partitions+63)/64)
	}
	if c := &(*n)[p/64]; *c == nil {
		*c = new([64]uint8)
	}
	(*n)[p/64][p%64] = value
}

func (n numbers) of(p int) int {
	if len(n) == 0 || n[p/64] == nil {
		return 0
	}
	return int(n[p/64][p%64])
}

// end records which set served a partition until now. It records only the first 65,535 sets: beyond them
// a loss check finds less evidence.
func (e *era) end(p, partitions, number int) {
	if number++; number < 1<<16 {
		e.low.set(p, partitions, uint8(number))
		if number >= 1<<8 {
			e.high.set(p, partitions, uint8(number>>8))
		}
	}
}

// of returns the set that served a partition until the era ended, nil where the set serves on.
func (e *era) of(p int) *set {
	if number := e.low.of(p) | e.high.of(p)<<8; number > 0 {
		return e.owners[number-1].served
	}
	return nil
}
