package handoff

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/membership"
)

// hash identifies a state.
type hash [2]uint64

// table is a set of hashes. A hash stands at its own place, or at the next free place after it. At most
// three of four places are taken.
type table struct {
	places []hash
	taken  int
}

// add adds a hash, and reports whether the table did not have it yet.
func (t *table) add(h hash) bool {
	if 4*t.taken >= 3*len(t.places) {
		was := t.places
		t.places, t.taken = make([]hash, max(1024, 2*len(was))), 0
		for _, h := range was {
			if h != (hash{}) {
				t.add(h)
			}
		}
	}
	for at := h[0]; ; at++ {
		switch p := &t.places[at&uint64(len(t.places)-1)]; *p {
		case hash{}:
			*p = h
			t.taken++
			return true
		case h:
			return false
		}
	}
}

// search is a breadth first exploration.
type search struct {
	*space
	start   global
	seen    table
	parents []uint32
	moves   []move            // the move that led to each state
	sample  uint64            // with n, a fair run follows from one of n states; 0: from none
	good    map[hash]struct{} // states from which a fair run ends well
	depth   int
	runs    int
	bytes   int // of the states to explore next, at most
}

// failure is the failure that an exploration has found, and the moves that lead to it.
type failure struct {
	what  string
	moves []move
	fair  bool // the failure shows only after a fair run
}

func newSearch(m model) *search {
	s := &search{space: newSpace(m), good: make(map[hash]struct{}), sample: 1}
	s.start = s.form()
	return s
}

// form returns the state in which the members have formed a cluster.
func (x *space) form() global {
	var g global
	without := x.without
	x.without = 0 // the cluster forms with all safeguards
	for i := range x.ids {
		x.buffer = nil
		l := &local{self: Process{x.ids[i : i+1], 0}}
		g.locals[i] = x.intern(l)
	}
	g.locals[0] = x.act(x.act(g.locals[0], actStart, 1).next, actFound, 1).next
	wrong := x.announce(&g, 0, announcement(membership.Active)|1<<3|announcedHere)
	for i := 1; i < len(x.members) && wrong == ""; i++ {
		wrong = x.boot(&g, i, 1)
	}
	if wrong == "" {
		wrong = x.settle(&g, nil, nil)
	}
	if wrong == "" {
		wrong = x.unfinished(&g)
	}
	if wrong != "" {
		panic(fmt.Sprintf("%s: the cluster does not form: %s", x.name, wrong))
	}
	x.without, x.localNumbers, x.results = without, make(map[string]uint32), make(map[uint64]*result)
	for i := range x.ids {
		l := x.locals[g.locals[i]].copy()
		if l.machine != nil {
			l.machine.around.config.Without = without
		}
		g.locals[i] = x.intern(&l)
	}
	g.left, g.losses, g.overlap, g.slots = x.faults, 0, false, [2 * most * most]uint32{}
	return g
}

func (x *space) hash(b []byte) hash {
	return hash{xxhash.Sum64(b), xxhash.Sum64(append(b, "salt"...))}
}

// run explores at most a number of states, and returns the first failure. It also reports whether it has
// explored all states.
func (s *search) run(most int) (f *failure, whole bool) {
	var level, next []byte
	var to global
	b := s.append(nil, &s.start)
	size := len(b)
	s.seen.add(s.hash(b))
	s.parents, s.moves = []uint32{0}, []move{{}}
	level = b
	for first := uint32(0); len(level) > 0; s.depth++ {
		next = next[:0]
		end := uint32(len(s.parents))
		for at := first; at < end && f == nil; at++ {
			g := s.read(level[int(at-first)*size:])
			s.space.moves(&g, func(m move) {
				if f != nil {
					return
				}
				to = g
				wrong := s.apply(&to, m)
				if wrong == "" && to == g {
					return
				}
				n := len(next)
				next = s.append(next, &to)
				h := s.hash(next[n:])
				// A hopeless state is left out, but a fair run from it checks the releases of the write.
				hopeless := wrong == "" && s.hopeless(&to)
				anew := !hopeless && s.seen.add(h)
				fair := wrong == "" && (anew || hopeless) && s.sample > 0 && h[0]%s.sample == 0
				if fair {
					wrong = s.fair(to)
				}
				if wrong == "" && !anew {
					next = next[:n]
					return
				}
				s.parents, s.moves = append(s.parents, at), append(s.moves, m)
				if wrong == "" {
					return
				}
				f = &failure{wrong, s.trace(uint32(len(s.parents) - 1)), fair}
				if s.excused != nil && s.excused(f) {
					f, next = nil, next[:n]
					s.parents, s.moves = s.parents[:len(s.parents)-1], s.moves[:len(s.moves)-1]
				}
			})
			if len(s.parents) > most {
				return f, false
			}
		}
		if f != nil {
			return f, false
		}
		s.bytes = max(s.bytes, cap(level)+cap(next))
		first = end
		level, next = next, level
	}
	return nil, true
}

// memory returns about how many bytes the tables of the search take.
func (s *search) memory() int {
	const size = 16 // of a hash
	return s.bytes + size*len(s.seen.places) + 4*(cap(s.parents)+cap(s.moves)) + 2*size*len(s.good)
}

// trace returns the moves that led to a state.
func (s *search) trace(at uint32) (moves []move) {
	for ; at > 0; at = s.parents[at] {
		moves = append([]move{s.moves[at]}, moves...)
	}
	return moves
}

// fair reports what is wrong at the end of a fair run from a state.
func (s *search) fair(g global) string {
	var way []hash
	over := false
	wrong := s.settle(&g, func(g *global) bool {
		h := s.hash(s.append(nil, g))
		_, over = s.good[h]
		way = append(way, h)
		return over
	}, nil)
	if wrong == "" && !over {
		s.runs++
		wrong = s.unfinished(&g)
	}
	if wrong == "" {
		for _, h := range way {
			s.good[h] = struct{}{}
		}
	}
	return wrong
}

// settle makes a fair run: everything happens that may happen without further faults, until nothing
// changes. It calls stop before each round, and ends when stop returns true. It calls moved after each
// move that changed something.
func (x *space) settle(g *global, stop func(*global) bool, moved func(move)) (wrong string) {
	g.left = faults{}
	do := func(m move) {
		if wrong == "" {
			before := *g
			if wrong = x.apply(g, m); moved != nil && (wrong != "" || *g != before) {
				moved(m)
			}
		}
	}
	for rounds := 0; wrong == ""; rounds++ {
		if rounds == 300 {
			return "it does not settle"
		}
		if stop != nil && stop(g) {
			return ""
		}
		before := *g
		if g.apart != 0 {
			do(move{moveHeal})
		}
		x.round(g, do)
		if *g == before && wrong == "" {
			x.patience(g, do)
			if *g == before {
				return wrong
			}
		}
	}
	return wrong
}

// round is one round of a fair run.
func (x *space) round(g *global, do func(move)) {
	local := func(i int) *local { return x.locals[g.locals[i]] }
	for i := range x.ids {
		if local(i).machine == nil && local(i).disk.starts > 0 {
			do(move{moveBack, byte(i)})
		}
	}
	for i := range x.ids {
		for j := range x.ids {
			last := uint8(0)
			if i == j || local(i).machine == nil {
				continue
			}
			if x.apart(g, i, j) {
				x.suspects(g, i, j, do)
				continue
			}
			if x.news(g, i, j, func(n uint8) { last = n }); last > 0 {
				do(move{moveLearn, byte(i), byte(j), last})
			}
		}
	}
	for i := range x.ids {
		if local(i).open != noWrite {
			do(move{moveApply, byte(i)})
		}
		if local(i).save != nil {
			do(move{moveSaved, byte(i)})
		}
		best := -1
		x.ends(g, i, func(how byte) { best = max(best, int(how)) })
		if best >= 0 {
			do(move{moveEnd, byte(i), byte(best)})
		}
	}
	for i := range x.ids {
		if local(i).machine != nil {
			x.timers(local(i), func(k byte) {
				if k != byte(Patience) {
					do(move{moveTimer, byte(i), k})
				}
			})
		}
		x.exchange(g, i, do)
	}
}

// exchange delivers the messages of a process, then the messages to it, one other process at a time.
func (x *space) exchange(g *global, i int, do func(move)) {
	for j := range x.ids {
		for _, kind := range x.kinds() {
			for _, way := range [2][2]int{{i, j}, {j, i}} {
				if i != j && !x.apart(g, i, j) && g.slots[x.slot(way[0], way[1], kind)] != 0 && x.locals[g.locals[way[1]]].machine != nil {
					do(move{moveDeliver, byte(way[0]), byte(way[1]), kind})
				}
			}
		}
	}
}

// patience makes the patience timers of all processes due: no process waits for better sources any more.
func (x *space) patience(g *global, do func(move)) {
	for i := range x.ids {
		if pt := x.locals[g.locals[i]].place; pt != nil && pt.timers.has(Patience) {
			do(move{moveTimer, byte(i), byte(Patience)})
		}
	}
}

// unfinished says what is missing at the end of a fair run.
func (x *space) unfinished(g *global) string {
	if g.losses >= x.writes {
		return ""
	}
	stay, formed := 0, false
	for i := range x.ids {
		if _, now := x.newest(g, i); now.state() == membership.Joining || now.state() == membership.Active {
			stay, formed = stay+1, formed || x.formed(g, i)
		}
	}
	if !formed || stay < int(max(x.factor, x.second.factor)) {
		return "" // founding a cluster anew is beyond the machine; with fewer owners handoffs need not end
	}
	for i := range x.ids {
		if l := x.locals[g.locals[i]]; l.place != nil && l.place.lost {
			return fmt.Sprintf("%s reports possible loss", word(l.self))
		}
	}
	is, agreed := x.agreed(g)
	if !agreed || !is.agreed {
		return "the members do not become active"
	}
	for i := range x.ids {
		l := x.locals[g.locals[i]]
		switch pt := l.place; {
		case l.machine == nil || pt == nil:
		case is.owners.all.has(l.self) && !pt.ready():
			return fmt.Sprintf("%s does not become ready", word(l.self))
		case !is.owners.all.has(l.self) && pt.has > empty:
			return fmt.Sprintf("%s does not release", word(l.self))
		case l.job != nil || pt.unfinished(&l.machine.around):
			return fmt.Sprintf("%s does not end", word(l.self))
		}
	}
	return ""
}
