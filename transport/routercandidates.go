package transport

import (
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// candidate is an owner that a request may be sent to.
type candidate struct {
	id, addr string // no address: this member
	start    membership.Start
	relation Relation
}

func (c candidate) local() bool { return c.addr == "" }

// plan lists the candidates of a journey by a view, the best first: by its
// policy, leaving out whom the view does not have alive or without an address,
// and with those last that could not be reached lately.
func (j *journey) plan(view View) {
	rt := j.router
	j.version, j.placement = view.Version, view.Ring.Lookup(j.key)
	j.token = j.placement.Token().String()
	j.candidates, j.next = j.room[:0], 0
	p := j.placement
	if rt.mine(p, j.policy, false) {
		j.candidates = append(j.candidates, candidate{id: rt.node})
		return
	}
	here, _ := memberOf(view.Members, rt.node)
	owners := p.Len()
	switch j.policy {
	case Nearest:
		p = p.Prefer(here.Region, here.Zone)
	case PrimaryOnly:
		owners = min(owners, 1)
	}
	var last []candidate
	for i := range owners {
		owner := p.At(i)
		if owner.ID() == rt.node {
			j.candidates = append(j.candidates, candidate{id: rt.node})
			continue
		}
		m, alive := memberOf(view.Members, owner.ID())
		c := candidate{id: m.ID, addr: m.Services[rt.options.Service], start: m.Start, relation: relation(here, owner)}
		switch {
		case !alive || c.addr == "" || slices.ContainsFunc(j.dead, c.same):
		case rt.avoided.has(c.addr):
			last = append(last, c)
		default:
			j.candidates = append(j.candidates, c)
		}
	}
	j.candidates = append(j.candidates, last...)
}

// same reports whether two candidates are one process at one address.
func (c candidate) same(d candidate) bool { return c.addr == d.addr && c.start == d.start }

func relation(here membership.Member, there ring.Owner) Relation {
	switch {
	case here.Region != there.Region():
		return Remote
	case here.Zone != there.Zone():
		return SameRegion
	default:
		return SameZone
	}
}

// memberOf finds a member by its ID.
func memberOf(members []membership.Member, id string) (membership.Member, bool) {
	i, found := slices.BinarySearchFunc(members, id, func(m membership.Member, id string) int {
		return strings.Compare(m.ID, id)
	})
	if !found {
		return membership.Member{}, false
	}
	return members[i], true
}
