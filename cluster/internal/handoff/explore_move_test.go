package handoff

import (
	"cmp"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
)

// move is one event of an exploration: its kind, and up to three numbers.
type move [4]byte

const (
	moveDeliver byte = iota // the last message: from, to, its kind
	moveTimer               // process, kind of the timer
	moveEnd                 // process, how its job ends
	moveSaved               // process
	moveLearn               // process, member, the announcement
	moveSuspect             // process, member beyond a cut
	moveSend                // the write, by the view of a process
	moveAccept              // process
	moveApply               // process
	moveFault               // fault, member
	moveBack                // power is back: member
	moveHeal

	// With this bit a request is accepted just before the move, and is still under way when the
	// move closes the gate.
	moveLate = 0x80
)

// moves calls a function with each move that is possible. A request is accepted and applied at once, or
// accepted just before the gate closes and applied later. Any other moment of the acceptance makes no
// difference.
func (x *space) moves(g *global, each func(move)) {
	for i := range x.ids {
		l := x.locals[g.locals[i]]
		accepts := x.accepts(g, i)
		do := func(m move) {
			if each(m); accepts {
				m[0] |= moveLate
				each(m)
			}
		}
		if l.machine == nil {
			x.starts(g, i, do)
			continue
		}
		for j := range x.ids {
			if j == i {
				continue
			}
			if x.apart(g, i, j) {
				x.suspects(g, i, j, do)
				continue
			}
			for _, kind := range x.kinds() {
				if g.slots[x.slot(j, i, kind)] != 0 {
					do(move{moveDeliver, byte(j), byte(i), kind})
				}
			}
			x.news(g, i, j, func(n uint8) { do(move{moveLearn, byte(i), byte(j), n}) })
		}
		x.timers(l, func(k byte) { do(move{moveTimer, byte(i), k}) })
		x.ends(g, i, func(how byte) { do(move{moveEnd, byte(i), how}) })
		if l.save != nil {
			do(move{moveSaved, byte(i)})
		}
		if accepts {
			each(move{moveAccept, byte(i)})
		}
		if l.open != noWrite {
			each(move{moveApply, byte(i)})
		}
		x.changes(g, i, do)
	}
	if g.apart != 0 {
		each(move{moveHeal})
	}
}

// accepts reports whether the request may arrive at a process now, and the process would accept it.
func (x *space) accepts(g *global, i int) bool {
	l, w := x.locals[g.locals[i]], &g.write
	if l.place == nil || !l.place.accepts() {
		return false
	}
	if w.address == 0 {
		return !x.names && !x.plain
	}
	return w.pending>>i&1 == 1 && l.gate == x.addresses[w.address].token
}

// at returns the process that a move happens to.
func (m move) at() int {
	if kind := m[0] &^ moveLate; kind == moveDeliver || kind == moveFault {
		return int(m[2])
	}
	return int(m[1])
}

// news calls a function with the number of each announcement of a member that a process may learn.
func (x *space) news(g *global, i, j int, do func(uint8)) {
	last, says := x.newest(g, j)
	known := g.known[i][j]
	if known == 0 && says != 0 {
		do(last)
		return
	}
	for n := known/2 + 1 - known&1; known > 0 && n <= last; n++ {
		do(n)
	}
}

// suspects calls a function with the move by which a process takes a member beyond a cut for gone.
func (x *space) suspects(g *global, i, j int, do func(move)) {
	if last, _ := x.newest(g, j); last > 0 && g.known[i][j] > 0 && g.known[i][j]&1 == 0 {
		do(move{moveSuspect, byte(i), byte(j)})
	}
}

// apart reports whether two members cannot reach each other: a cut is between them, or one of them is
// off.
func (x *space) apart(g *global, i, j int) bool {
	return g.apart>>i&1 != g.apart>>j&1 || x.journal && (x.off(g, i) || x.off(g, j))
}

// off reports whether a member does not run, and may come back with its data.
func (x *space) off(g *global, i int) bool {
	l := x.locals[g.locals[i]]
	return l.machine == nil && l.disk.starts > 0
}

// starts calls a function with the move that starts a member which does not run.
func (x *space) starts(g *global, i int, do func(move)) {
	last, _ := x.newest(g, i)
	switch {
	case last == 0 && g.left[join] > 0 && x.spare != "":
		do(move{moveFault, byte(join), byte(i)})
	case x.off(g, i):
		do(move{moveBack, byte(i)})
	}
}

// changes calls a function with each fault that may happen to a running process, and with the sending of
// the write.
func (x *space) changes(g *global, i int, do func(move)) {
	_, now := x.newest(g, i)
	for f := range faultKinds {
		if g.left[f] > 0 && (x.victims == "" || strings.Contains(x.victims, x.ids[i:i+1])) && (f == crash || f == restart || f == power && now.start() < 3 || f == cut && g.apart == 0 ||
			f == drain && now.state() == membership.Active && x.active(g) > cmp.Or(x.least, int(max(x.factor, x.second.factor))) || f == rise && now&announcedRise == 0) {
			do(move{moveFault, byte(f), byte(i)})
		}
	}
	if (x.names || x.plain) && g.write.address == 0 && x.sights[x.sees(g, i)].token != 0 {
		do(move{moveSend, byte(i)})
	}
}

// active returns how many members are active.
func (x *space) active(g *global) (n int) {
	for i := range x.ids {
		if _, now := x.newest(g, i); now.state() == membership.Active {
			n++
		}
	}
	return n
}

// timers calls a function with each timer of a process that is armed and matters, except the batch timer.
func (x *space) timers(l *local, do func(byte)) {
	m := l.machine
	if pt := l.place; pt != nil {
		if pt.asking == waiting {
			do(byte(Ask))
		}
		for _, k := range []TimerKind{Patience, Retry} {
			if pt.timers.has(k) {
				do(byte(k))
			}
		}
	}
	if m.departure.armed {
		do(byte(Announce) | 16)
	}
	if m.departure.retrying {
		do(byte(Retry) | 16)
	}
}

// ends calls a function with each way in which the job of a process may end now. A merge reads each
// source as it was when the merge began, or as it is now, and reads as few sources as it may.
func (x *space) ends(g *global, i int, do func(byte)) {
	l := x.locals[g.locals[i]]
	switch {
	case l.job == nil:
		return
	case l.canceled:
		do(jobFailed)
		return
	case l.job.Kind != Merge:
		do(jobWithout)
		return
	}
	reached, had := x.reach(g, i, l.job.Sources)
	without, with, can := 0, false, 0
	for at := range l.job.Sources {
		is := func(mask byte) bool { return mask>>at&1 == 1 }
		if is(reached) || is(l.early.reached) {
			can++
		}
		if is(reached&^had) || is(l.early.reached&^l.early.had) {
			without++
		}
		with = with || is(had) || is(l.early.had)
	}
	if without >= l.job.Need {
		do(jobWithout)
	}
	if can >= l.job.Need && with {
		do(jobWith)
	}
	for at := range l.job.Sources {
		if reached>>at&1 == 0 {
			do(jobFailed)
			return
		}
	}
}

// reach returns which sources a process reaches, and which of them have the write. Another start of a
// source counts as the source.
func (x *space) reach(g *global, i int, sources []Process) (reached, had byte) {
	for at, p := range sources {
		j := int(x.number(p) >> 2)
		l := x.locals[g.locals[j]]
		if l.machine != nil && !x.apart(g, i, j) {
			reached |= 1 << at
			if l.has {
				had |= 1 << at
			}
		}
	}
	return reached, had
}

// apply carries out a possible move, and returns what is wrong afterwards.
func (x *space) apply(g *global, m move) (wrong string) {
	if m[0]&moveLate == 0 {
		return x.carry(g, m)
	}
	before, i := *g, m.at()
	x.accept(g, i)
	m[0] &^= moveLate
	if wrong = x.carry(g, m); wrong == "" && x.locals[g.locals[i]].open != openBefore {
		*g = before // the move closes no gate
	}
	return wrong
}

func (x *space) accept(g *global, i int) {
	if g.write.address == 0 {
		x.send(g, x.sightOf[x.locals[g.locals[i]].gate])
	}
	g.write.pending &^= 1 << i
	g.locals[i] = x.act(g.locals[i], actAccept, 0).next
}

// send sends the write by the view of a process.
func (x *space) send(g *global, is uint32) {
	w := &g.write
	w.address = x.address(&x.sights[is])
	for _, p := range x.addresses[w.address].all {
		w.pending |= 1 << (x.number(p) >> 2)
	}
}

func (x *space) carry(g *global, m move) (wrong string) {
	i := int(m[1])
	switch m[0] {
	case moveDeliver:
		wrong = x.do(g, int(m[2]), actReceive, g.slots[x.slot(i, int(m[2]), m[3])])
	case moveTimer:
		wrong = x.do(g, i, actTimer, uint32(m[2]))
	case moveEnd:
		wrong = x.do(g, i, actEnd, uint32(m[2]))
	case moveSaved:
		wrong = x.do(g, i, actSaved, 0)
	case moveLearn:
		g.known[i][m[2]] = 2 * m[3]
		wrong = x.do(g, i, actView, x.sees(g, i))
	case moveSuspect:
		g.known[i][m[2]] |= 1
		wrong = x.do(g, i, actView, x.sees(g, i))
	case moveSend:
		x.send(g, x.sees(g, i))
	case moveAccept, moveApply:
		if m[0] == moveAccept {
			x.accept(g, i)
		}
		wrong = x.do(g, i, actApply, 0)
		x.acknowledge(g, i)
	case moveFault:
		g.left[m[1]]--
		if fault(m[1]) != power {
			g.overlap = g.overlap || g.moving
		}
		g.moving = g.left != faults{}
		wrong = x.fault(g, fault(m[1]), int(m[2]))
	case moveBack:
		wrong = x.back(g, i)
	case moveHeal:
		g.apart = 0
	}
	if wrong == "" {
		wrong = x.wrong(g)
	}
	return wrong
}

// dropDead drops messages to a process from starts that the process can never take for alive again.
func (x *space) dropDead(g *global, i int) {
	for j := range x.ids {
		for _, kind := range [2]byte{query, answer} {
			at := x.slot(j, i, kind)
			if n := g.slots[at]; n != 0 && !x.plain && x.locals[g.locals[j]].self != x.messages[n].from && !x.mayBelieve(g, i, x.messages[n].from) {
				g.slots[at] = 0
			}
		}
	}
}

// mayBelieve reports whether a process may still take a start of another member for alive.
func (x *space) mayBelieve(g *global, i int, p Process) bool {
	j := int(x.number(p) >> 2)
	h := x.histories[g.history[j]]
	k := g.known[i][j]
	for n := max(int(k/2), 1); k > 0 && n <= len(h); n++ {
		if a := announcement(h[n-1]); a != 0 && a.start() == p.Start {
			return true
		}
	}
	return k == 0
}

// do carries out an action at a process.
func (x *space) do(g *global, i int, kind actionKind, arg uint32) (wrong string) {
	if kind == actView {
		if x.dropDead(g, i); x.tell != nil {
			x.tell(g, i, &x.sights[arg])
		}
	}
	r := x.act(g.locals[i], kind, arg)
	g.locals[i] = r.next
	for j := range x.ids {
		for kind, s := range [2]int{x.slot(i, j, query), x.slot(j, i, answer)} {
			if n := g.slots[s]; n != 0 && x.messages[n].message.kind == byte(kind)+query {
				g.slots[s] = x.renumbered(n, r.thresholds)
			}
		}
	}
	for k, n := range r.sent {
		if to := int(x.number(x.messages[n].to) >> 2); !x.apart(g, i, to) {
			if o := x.locals[g.locals[to]]; !x.plain && (o.self != x.messages[n].to || o.machine == nil && o.disk.starts == 0) {
				n = 0
			}
			g.slots[x.slot(i, to, x.messages[r.sent[k]].message.kind)] = n
		}
	}
	switch wrong = r.wrong; {
	case wrong != "":
		return wrong
	case r.merges:
		reached, had := x.reach(g, i, x.locals[r.next].job.Sources)
		wrong = x.do(g, i, actEarly, uint32(reached)<<8|uint32(had))
	case r.releases && r.had:
		wrong = x.checkRelease(g, i)
	}
	if wrong != "" {
		return wrong
	}
	return x.progress(g, i)
}
