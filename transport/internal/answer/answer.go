// Package answer makes the answers of lookups from the placements of a ring, for members
// and for programs that keep a copy of the table.
package answer

import (
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Maker makes answers of one view.
type Maker struct {
	// Ring is the ring of the view, which has owners.
	Ring *ring.Ring
	// Find returns where a member serves HTTP, and whether it is away. For a member that
	// it does not know it returns zero values.
	Find func(id string) (httpAddr string, away bool)
	// Near is the place whose owners come first. Nil leaves them in the order of the
	// preference list.
	Near *Near
	free []api.Owner // a part of one allocation for the owners of many keys
}

// Near is a region and a zone of it. An empty name is the name of the region or zone of
// members that name none.
type Near struct{ Region, Zone string }

// Reserve makes room for the owners of a number of keys.
func (m *Maker) Reserve(keys int) {
	room := keys * m.Ring.Replicas()
	if m.moving() {
		room += keys * m.Ring.Target().Replicas()
	}
	m.free = make([]api.Owner, 0, room)
}

// Placement returns the answer for a placement of the ring.
func (m *Maker) Placement(p ring.Placement) api.Placement {
	a := api.Placement{Partition: p.Partition(), Token: p.Token(), Primary: m.primary(p)}
	if m.moving() {
		a.Target = m.owners(p.Target())
	}
	if m.Near != nil {
		p = p.Prefer(m.Near.Region, m.Near.Zone)
	}
	a.Owners = m.owners(p)
	return a
}

// primary returns the first owner that is not away, or the first one where all are.
func (m *Maker) primary(p ring.Placement) string {
	for _, o := range p.All() {
		if _, away := m.Find(o.ID()); !away {
			return o.ID()
		}
	}
	first, _ := p.Primary()
	return first.ID()
}

func (m *Maker) moving() bool { return m.Ring.Target() != m.Ring }

// owners lists the owners in their order, with owners that are away last.
func (m *Maker) owners(p ring.Placement) []api.Owner {
	if cap(m.free)-len(m.free) < p.Len() {
		m.free = make([]api.Owner, 0, p.Len())
	}
	from := len(m.free)
	var gone []api.Owner
	for _, n := range p.All() {
		addr, away := m.Find(n.ID())
		owner := api.Owner{ID: n.ID(), Region: n.Region(), Zone: n.Zone(), HTTPAddr: addr}
		if away {
			gone = append(gone, owner)
			continue
		}
		m.free = append(m.free, owner)
	}
	m.free = append(m.free, gone...)
	return m.free[from:len(m.free):len(m.free)]
}
