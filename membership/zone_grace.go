package membership

// A zone can be lost as a whole: its power, or its network. Its members then fail one after another,
// within the time that gossip needs to find that. When the last one that owns has failed, the others keep
// the places of those that announced a [Options.ZoneGrace], as if they had stopped for a restart: they are
// Away until they come back, or the grace is over. The records are those of absence.go, so exchanges of
// members carry them too, and members that noticed the failures at other times get the same list.
//
// The members are lost none the less: this member looks for them, because their processes may run on
// the other side of a split network. A member whose place was kept changed no ring. So it need
// not step back when it returns: see deaths.go.
//
// A zone that is lost again within absenceMemory after a grace has ended is not waited for.

// zoneWindow is the time within which the members of a zone fail when it is lost as a whole. A member
// that failed before had a cause of its own, and others have taken over from it.
const zoneWindow = 2 * deathGroup

// place is a zone of a region.
type place struct{ region, zone string }

func placeOf(m Member) place { return place{m.Region, m.Zone} }

// zoneOwners counts the starts believed alive that own, by their zones. Starts that are believed on their
// word do not count.
type zoneOwners map[place]int

func (o zoneOwners) count(m Member, n int) {
	if m.State != Active && m.State != Draining {
		return
	}
	if o[placeOf(m)] += n; o[placeOf(m)] == 0 {
		delete(o, placeOf(m))
	}
}

// keepZone is called after a start has failed. If no owner in its zone is left, it keeps the places of
// the members that failed with it. The caller holds the lock.
func (r *registry) keepZone(last Member) {
	zone, now := placeOf(last), r.now()
	if r.owners[zone] > 0 {
		return
	}
	for id, d := range r.departed {
		m := d.member
		if !d.failed || d.ghost || m.State != Active || m.ZoneGrace == 0 || placeOf(m) != zone || now.Sub(d.at) >= zoneWindow {
			continue
		}
		before, was := r.winner(id)
		m.State, m.Grace = Away, m.ZoneGrace
		r.left(m, m.Grace)
		after, is := r.winner(id)
		r.changed(gossipName(id, m.Start.Nonce), before, was, after, is)
	}
}

// kept reports whether the place of a start is kept. The caller holds the lock.
func (r *registry) kept(id string, nonce uint64) bool {
	a, ok := r.absences[id]
	return ok && !a.over && a.member.Start.Nonce == nonce
}
