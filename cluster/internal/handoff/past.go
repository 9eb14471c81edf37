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

// rows makes the owner sets of a view, one for each different placement. So the memory of a process grows
// with the number of different placements, not with the number of partitions.
type rows struct {
	around  *surroundings
	numbers map[row]int
	sets    []*set             // by number
	owners  map[[2]int]*owners // by the numbers of their sets
}

func newRows(s *surroundings) *rows {
	return &rows{around: s, numbers: make(map[row]int), owners: make(map[[2]int]*owners)}
}

// number returns the number of the set of processes that own by a placement.
func (r *rows) number(place ring.Placement) int {
	var key row
	for i, o := range place.All() {
		key[i] = o
	}
	number, known := r.numbers[key]
	if !known {
		var members set
		for _, o := range place.All() {
			members = append(members, r.around.process(o.Node()))
		}
		members, number = newSet(members...), len(r.sets)
		r.numbers[key], r.sets = number, append(r.sets, &members)
	}
	return number
}

// of returns the owners of a placement.
func (r *rows) of(place ring.Placement) *owners {
	at := r.number(place)
	key := [2]int{at, at}
	if target := place.Target(); target != place {
		key[1] = r.number(target)
	}
	next := r.owners[key]
	if next == nil {
		next = &owners{serving: *r.sets[key[0]], target: *r.sets[key[1]]}
		next.all = newSet(slices.Concat(next.serving, next.target)...)
		r.owners[key] = next
	}
	return next
}

// era is what one view ended: of each partition whose serving owners changed, the set that served until
// then.
type era struct {
	quorums quorums
	sets    []*set
	chunks  []*[64]uint16 // by partition: 1 + the number of its set; 0: the set serves on
}

// end records which set served a partition until now. It records only the first 65,535 sets: beyond them
// a loss check finds less evidence.
func (e *era) end(p, number int) {
	c := &e.chunks[p/64]
	if *c == nil {
		*c = new([64]uint16)
	}
	if number < 1<<16-1 {
		(*c)[p%64] = uint16(number + 1)
	}
}

// of returns the set that served a partition until the era ended, nil where the set serves on.
func (e *era) of(p int) *set {
	if c := e.chunks[p/64]; c != nil && c[p%64] > 0 {
		return e.sets[c[p%64]-1]
	}
	return nil
}
