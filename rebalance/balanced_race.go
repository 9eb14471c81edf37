package rebalance

import (
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// Values in owners for a slot that no member has yet.
const (
	open  int32 = -1 // a slot without an owner
	fixed int32 = -2 // minus a unit: reserved, because the unit has this slot in every row
)

// raceAll runs the race of every level and returns the last race, whose owners are the
// members. A level is raced twice if paced is set and the first race leaves slots open: see paces.
func raceAll(t ring.Topology, levels [4][]unit, orders []permutation, paced bool) *race {
	members := levels[len(levels)-1]
	var times []uint64
	if !equalWeights(t.Nodes) {
		times = newTimes(t.PartitionCount)
	}
	weights := make([]uint64, len(members))
	for m := range members {
		weights[m] = members[m].weight
	}
	var r *race
	groups := make([]int32, t.PartitionCount*t.Replicas) // every slot belongs to the one cluster
	levels[0][0].load = uint64(len(groups))
	for i := 1; i < len(levels); i++ {
		if i < len(levels)-1 && len(levels[i]) == len(levels[i-1]) {
			for u := range levels[i] { // each group has one unit, of the same number: units are sorted by group
				levels[i][u].load = levels[i-1][u].load
			}
			continue
		}
		unitOf := ancestors(levels[i:])
		race := func(pace, times []uint64) *race {
			for u := range levels[i] {
				levels[i][u].load = 0
			}
			r := newRace(t.Replicas, groups, levels[i-1], levels[i])
			if i == len(levels)-1 {
				r.last, r.order = true, make([]int32, 0, len(groups))
			}
			r.run(members, unitOf, pace, orders, times, t.Stopped)
			return r
		}
		r = race(weights, times)
		if paced && !r.last && !t.Stopped() {
			if pace := r.paces(members, unitOf); pace != nil {
				r = race(pace, newTimes(t.PartitionCount))
			}
		}
		r.finish(t.Stopped)
		if t.Stopped() {
			return r // slots are open
		}
		groups = r.resolve()
	}
	return r
}

// ancestors returns, for each unit of the last level, the unit of the first given level
// that it is part of.
func ancestors(levels [][]unit) []int32 {
	of := make([]int32, len(levels[len(levels)-1]))
	for m := range of {
		u := int32(m)
		for j := len(levels) - 1; j > 0; j-- {
			u = levels[j][u].group
		}
		of[m] = u
	}
	return of
}

// A race fills the slots of one level. Each slot belongs to a unit of the level above,
// and goes to one of the units within that unit.
type race struct {
	replicas int
	units    []unit
	groups   []int32 // for each slot, the unit of the level above
	alone    bool    // there is only one unit of the level above
	owners   []int32 // for each slot, the unit that has it
	vacant   []int   // open slots of each group
	room     []uint8 // for each row, a bit for each group that has open slots; most proposals end here
	open     int     // the number of open slots
	last     bool    // the units are members
	order    []int32 // at the last level, the slots in the order in which members took them
}

func newRace(replicas int, groups []int32, above, units []unit) *race {
	r := &race{
		replicas: replicas, units: units, groups: groups, alone: len(above) == 1,
		owners: make([]int32, len(groups)), vacant: make([]int, len(above)), open: len(groups),
		room: make([]uint8, len(groups)/replicas),
	}
	for slot, g := range groups {
		r.owners[slot] = open
		r.vacant[g]++
		r.room[slot/replicas] |= bit(g)
	}
	nobody := fixed - int32(len(units))
	for u := range units {
		for range units[u].low {
			for p := range len(groups) / replicas {
				if slot := r.find(p, int32(u), nobody); slot >= 0 {
					r.take(slot, int32(u), fixed-int32(u))
				}
			}
		}
	}
	return r
}

// bit is the bit of a group in room. Nine groups or more share bits.
func bit(group int32) uint8 { return 1 << (group & 7) }

// find returns an open slot of the unit's group in a row, or -1 when there is
// none or the row has the owner given.
func (r *race) find(partition int, u, except int32) int {
	found, group := -1, r.units[u].group
	if r.room[partition]&bit(group) == 0 {
		return -1
	}
	first := partition * r.replicas
	for slot, owner := range r.owners[first : first+r.replicas] {
		if owner == except {
			return -1
		}
		if owner == open && (r.alone || r.groups[first+slot] == group) {
			found = first + slot
		}
	}
	return found
}

func (r *race) take(slot int, u, owner int32) {
	r.owners[slot] = owner
	p := slot / r.replicas
	r.room[p] = 0
	for i, owner := range r.owners[p*r.replicas:][:r.replicas] {
		if owner == open {
			r.room[p] |= bit(r.groups[p*r.replicas+i])
		}
	}
	r.units[u].load++
	r.vacant[r.units[u].group]--
	r.open--
}

// resolve returns the owners, which are the groups of the next level.
func (r *race) resolve() []int32 {
	for slot, owner := range r.owners {
		if owner <= fixed {
			r.owners[slot] = fixed - owner
		}
	}
	return r.owners
}

// run lets the members propose. The members of pressed units come first, so that these
// units get all the slots that they may have.
func (r *race) run(members []unit, unitOf []int32, pace []uint64, orders []permutation, times []uint64, stopped func() bool) {
	domain := newDomain(len(r.room))
	left := r.claims(members, unitOf, domain.partitions)
	var first []int32
	all := make([]int32, len(members))
	for m, u := range unitOf {
		all[m] = int32(m)
		if r.units[u].pressed() {
			first = append(first, int32(m))
		}
	}
	if len(first) > 0 {
		r.propose(newClasses(pace, first), unitOf, orders, times, &domain, left, stopped)
	}
	r.propose(newClasses(pace, all), unitOf, orders, times, &domain, left, stopped)
}

// propose lets the members of classes propose until no slot is open, or until none of them
// finds one. unitOf is the unit of this level that each member proposes for, and left the number
// of slots that each may still win. A member that owns every row also proposes to each row in
// its turn, so that all owners of a row are in one order.
func (r *race) propose(classes []class, unitOf []int32, orders []permutation, times []uint64, partitions *domain, left []uint64, stopped func() bool) {
	queue := make([]turn, len(classes)) // a heap, with the heaviest members, which begin, in front
	for i := range classes {
		queue[i] = turn{classes[i].time(times), int32(i)}
	}
	for vain, turns := 0, 0; len(queue) > 0 && (r.open > 0 || r.last && len(r.order) < len(r.owners)) && vain < 4*len(r.room); turns++ {
		if turns%stopEvery == 0 && stopped() {
			return
		}
		c := &classes[queue[0].class]
		in := c.members[:0]
		for _, m := range c.members {
			u := unitOf[m]
			at := &r.units[u]
			all := r.last && at.low > 0
			if !all && (left[m] == 0 || at.load == at.limit || r.vacant[at.group] == 0) {
				continue
			}
			in = append(in, m)
			p := int(orders[m].at(uint64(c.rank), partitions))
			if !all && r.room[p]&bit(at.group) == 0 { // before find, which is too large for this loop to be fast
				vain++
				continue
			}
			if all {
				first := p * r.replicas
				if i := slices.Index(r.owners[first:first+r.replicas], fixed-u); i >= 0 {
					r.order = append(r.order, int32(first+i))
				}
				continue
			}
			vain++
			if slot := r.find(p, u, u); slot >= 0 {
				r.take(slot, u, u)
				if r.last {
					r.order = append(r.order, int32(slot))
				}
				left[m]--
				vain = 0
			}
		}
		c.members = in
		c.rank++
		next := turn{class: queue[0].class}
		if len(in) > 0 && c.rank < len(r.room) {
			next.time = c.time(times)
		} else {
			next = queue[len(queue)-1]
			queue = queue[:len(queue)-1]
		}
		sink(queue, next)
	}
}

// claims returns how many slots each member may win for its unit: the number that the
// member itself may own, without the slots that the unit has in every row. Without this
// bound a full member would go on winning slots for its zone, and other members of the
// zone would have to own them.
func (r *race) claims(members []unit, unitOf []int32, partitions uint64) []uint64 {
	left := make([]uint64, len(members))
	for m, u := range unitOf {
		if limit := r.units[u].limit; limit > 0 {
			raced := limit - min(limit, r.units[u].low*partitions)
			left[m] = (members[m].limit*raced + limit - 1) / limit
		}
	}
	return left
}

// finish fills the slots that the race has left open. Slots without a proposal
// come last in the order.
func (r *race) finish(stopped func() bool) {
	if r.open > 0 {
		r.fill(stopped)
	}
	if !r.last || len(r.order) == len(r.owners) {
		return
	}
	asked := make([]bool, len(r.owners))
	for _, slot := range r.order {
		asked[slot] = true
	}
	for slot := range r.owners {
		if !asked[slot] {
			r.order = append(r.order, int32(slot))
		}
	}
}

func (r *race) fill(stopped func() bool) {
	list := make([]int32, 0, len(r.units))
	c := newChains(r.owners, r.units, func(slot int) []int32 {
		list = list[:0]
		first := slot / r.replicas * r.replicas
		row := r.owners[first : first+r.replicas]
		for u := range r.units {
			if r.units[u].group == r.groups[slot] && r.units[u].low < r.units[u].high && !slices.Contains(row, int32(u)) {
				list = append(list, int32(u))
			}
		}
		return list
	})
	for slot, owner := range r.owners {
		if owner == open {
			if stopped() {
				return
			}
			c.fill(slot)
		}
	}
}
