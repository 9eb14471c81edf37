package handoff

import (
	"fmt"

	"github.com/clusterkit/clusterkit/membership"
)

// acknowledge counts an acknowledgement as the writer does: W of the serving owners and W of the target
// owners, in the view that the write was sent by.
func (x *space) acknowledge(g *global, i int) {
	w := &g.write
	bit := uint16(1) << x.number(x.locals[g.locals[i]].self)
	w.acked |= bit
	w.holders |= bit
	if w.known = w.known || x.enough(w.address, w.acked); w.known {
		w.acked = 0 // the acknowledgements do not matter any more
		if w.pending == 0 && !x.plain {
			w.address = 1 // the address does not matter any more
		}
	}
}

// enough reports whether acknowledgements are enough for a writer that counts by the owners of an
// address.
func (x *space) enough(address uint8, acked uint16) bool {
	to := &x.addresses[address]
	of := func(s set) bool {
		n := 0
		for _, p := range s {
			if acked>>(x.number(p)&^3)&15 != 0 {
				n++
			}
		}
		return n >= to.quorum
	}
	return of(to.serving) && of(to.target)
}

// hopeless reports whether the write cannot be acknowledged any more. For the claim, such a state equals
// one in which the write was never sent.
func (x *space) hopeless(g *global) bool {
	w := &g.write
	if w.address == 0 || w.known || x.names || x.plain || x.journal || g.left != (faults{}) {
		return false
	}
	acked := w.acked
	for i := range x.ids {
		l := x.locals[g.locals[i]]
		if l.machine != nil && (l.open != noWrite || w.pending>>i&1 == 1 && x.mayAccept(g, i)) {
			acked |= 1 << x.number(l.self)
		}
	}
	return !x.enough(w.address, acked)
}

// mayAccept reports whether a process may still get a view with the token of the write, when no more
// faults happen.
func (x *space) mayAccept(g *global, i int) bool {
	token := x.addresses[g.write.address].token
	if x.locals[g.locals[i]].gate == token {
		return true
	}
	key := []byte{byte(i), g.write.address}
	var says [most][]announcement
	for j := range x.ids {
		h, k := x.histories[g.history[j]], g.known[i][j]
		last, now := x.newest(g, j)
		if k&1 == 1 || k == 0 || j != i && x.apart(g, i, j) {
			says[j] = append(says[j], 0)
		}
		for n := max(int(k/2), 1); n <= int(last) && (k > 0 || n == int(last)); n++ {
			says[j] = append(says[j], announcement(h[n-1]))
		}
		switch now.state() {
		case membership.Joining:
			says[j] = append(says[j], now.with(membership.Active))
		case membership.Draining:
			says[j] = append(says[j], now.with(membership.Leaving), 0)
		case membership.Leaving:
			says[j] = append(says[j], 0)
		}
		for _, a := range says[j] {
			key = append(key, byte(a))
		}
		key = append(key, '/', '/')
	}
	may, known := x.may[string(key)]
	if !known {
		var sight [most + 1]byte
		sight[most] = byte(i)
		may = x.anySight(sight, says[:len(x.ids)], 0, token)
		x.may[string(key)] = may
	}
	return may
}

// anySight reports whether one of the views that a process may still get has a token.
func (x *space) anySight(key [most + 1]byte, says [][]announcement, j int, token uint32) bool {
	if j == len(says) {
		return x.sights[x.sight(key)].token == token
	}
	for _, a := range says[j] {
		key[j] = byte(a)
		if x.anySight(key, says, j+1, token) {
			return true
		}
	}
	return false
}

// checkRelease checks a release of the write. Each owner in the view of the releasing process must have
// the write, or must have released it itself.
func (x *space) checkRelease(g *global, i int) string {
	l := x.locals[g.locals[i]]
	elsewhere := x.holders(g)
	for _, p := range l.place.owners.all {
		o := x.locals[g.locals[x.number(p)>>2]]
		if o.machine != nil && o.self == p && !o.has && (!o.released || elsewhere == 0) {
			return fmt.Sprintf("%s releases the write, and %s lacks it", word(l.self), word(p))
		}
	}
	w := &g.write
	if bit := uint16(1) << x.number(l.self); w.holders&bit != 0 {
		w.holders = w.holders&^bit | elsewhere
	}
	if len(l.place.owners.all) < int(x.writes) {
		w.gone = x.writes // too few owners are left for the claim
	}
	return ""
}

// holders returns the processes that have the write. A process that is off, with the write on its disk,
// is one of them.
func (x *space) holders(g *global) (all uint16) {
	for i := range x.ids {
		if l := x.locals[g.locals[i]]; l.has {
			all |= 1 << x.number(l.self)
		}
	}
	return all
}

// wrong checks the claim, and returns what is wrong.
func (x *space) wrong(g *global) string {
	w := &g.write
	if g.left[crash]+g.left[restart] == 0 {
		w.holders = 0 // no more holders lose their state
	}
	if !w.known {
		return ""
	}
	if x.holders(g) == 0 && w.gone < x.writes {
		return "the acknowledged write is lost"
	}
	is, agreed := x.agreed(g)
	if !agreed {
		return ""
	}
	whole := is.agreed && g.apart == 0
	lacking := 0
	for _, p := range is.owners.serving {
		l := x.locals[g.locals[x.number(p)>>2]]
		if l.ready && !l.has {
			lacking++
		}
	}
	for i := range x.ids {
		whole = whole && !x.locals[g.locals[i]].busy
	}
	config := is.view.Ring.Config()
	if lacking > config.ReplicationFactor-config.WriteQuorum && (whole || !g.overlap) && w.gone < x.writes {
		return fmt.Sprintf("the acknowledged write is missing from %d ready owners", lacking)
	}
	if whole && is.view.Ring.Replicas() == config.ReplicationFactor {
		w.holders, w.gone, g.losses, g.moving, g.overlap = x.holders(g), 0, 0, false, false
	}
	return ""
}

// agreed returns the view of all processes, if it is the same at all of them and matches what each member
// announced last.
func (x *space) agreed(g *global) (*sight, bool) {
	at := -1
	for i := range x.ids {
		if x.locals[g.locals[i]].machine == nil {
			continue
		}
		for j := range x.ids {
			last, says := x.newest(g, j)
			if x.off(g, j) {
				last, says = 0, 0
			}
			if k := g.known[i][j]; k != 2*last && (says != 0 || k > 0 && k&1 == 0) {
				return nil, false
			}
		}
		at = i
	}
	if at < 0 {
		return nil, false
	}
	is := &x.sights[x.sees(g, at)]
	return is, is.token != 0
}
