package route

import (
	"slices"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
)

// candidate is an owner that a request may be sent to.
type candidate struct {
	id, addr string // an empty address means this member
	start    membership.Start
	relation tally.Relation
	leaves   bool // it has announced that it leaves
}

func (c candidate) local() bool { return c.addr == "" }

// plan lists the candidates of a journey by a view, in the order of its policy. It
// leaves out owners that are away, not alive in the view, or without an address. Owners
// that could not be reached lately come last. Owners that this request could not reach
// come back when it has waited.
func (j *journey) plan(view View) {
	e := j.engine
	j.version, j.placement = view.Version, view.Ring.Lookup(j.key)
	j.candidates, j.next, j.nameless = j.room[:0], 0, 0
	p := j.placement
	if e.serves && view.MayAnswer(p, j.policy, false) {
		j.candidates = append(j.candidates, candidate{id: e.node})
		return
	}
	var region, zone string
	if here := view.Member(e.node); here != nil {
		region, zone = here.Region, here.Zone
	}
	if j.policy == Nearest {
		p = p.Prefer(region, zone)
	}
	var last []candidate
	considered := 0
	for i := range p.Len() {
		owner := p.At(i)
		if j.policy == PrimaryOnly && considered == 1 {
			break
		}
		m := view.Member(owner.ID())
		if m != nil && m.State == membership.Away && m.ID != e.node {
			continue
		}
		considered++
		if e.serves && owner.ID() == e.node {
			j.candidates = append(j.candidates, candidate{id: e.node})
			continue
		}
		if m == nil {
			continue
		}
		c := candidate{id: m.ID, addr: m.Services[e.options.Service], start: m.Start, relation: tally.RelationOf(region, zone, owner.Region(), owner.Zone()), leaves: isLeaving(m)}
		switch {
		case c.addr == "":
			j.nameless++
		case slices.ContainsFunc(j.dead, c.same):
			if j.again && j.mayDial() && e.avoided.again(c.addr) {
				last = append(last, c)
			}
		case e.avoided.has(c.addr):
			last = append(last, c)
		default:
			j.candidates = append(j.candidates, c)
		}
	}
	j.candidates = append(j.candidates, last...)
}

// same reports whether two candidates are one process at one address.
func (c candidate) same(d candidate) bool { return c.addr == d.addr && c.start == d.start }

// isLeaving reports whether a member has announced that its process is about to end.
func isLeaving(m *membership.Member) bool {
	return m.State == membership.Leaving || m.State == membership.Away
}
