package handoff

import "fmt"

// acknowledge counts an acknowledgement, as the writer does: to W in both tables of the view by
// which it sent the write.
func (x *space) acknowledge(g *global, i int) {
	w := &g.write
	bit := uint16(1) << x.number(x.locals[g.locals[i]].self)
	w.acked |= bit
	w.holders |= bit
	to := &x.addresses[w.address]
	enough := func(s set) bool {
		n := 0
		for _, p := range s {
			if w.acked>>(x.number(p)&^3)&15 != 0 {
				n++
			}
		}
		return n >= to.quorum
	}
	if w.known = w.known || enough(to.serving) && enough(to.target); w.known {
		w.acked = 0 // it does not matter any more
	}
}

// checkRelease checks a release of the write: each owner by the view of the process has it, or had
// it before it released it itself.
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

// holders are the processes that have the write, the ones that are off with it included.
func (x *space) holders(g *global) (all uint16) {
	for i := range x.ids {
		if l := x.locals[g.locals[i]]; l.has {
			all |= 1 << x.number(l.self)
		}
	}
	return all
}

// wrong checks the claim.
func (x *space) wrong(g *global) string {
	w := &g.write
	if g.left[crash]+g.left[restart] == 0 {
		w.holders = 0 // no more of them lose their state
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

// agreed returns what all processes see, if they see the same and all of it is so.
func (x *space) agreed(g *global) (*sight, bool) {
	var is *sight
	for i := range x.ids {
		if x.locals[g.locals[i]].machine == nil {
			continue
		}
		for j := range x.ids {
			last, says := x.newest(g, j)
			if k := g.known[i][j]; k != 2*last && (says != 0 || k > 0 && k&1 == 0) {
				return nil, false
			}
		}
		is = &x.sights[x.sees(g, i)]
	}
	return is, is != nil && is.token != 0
}
