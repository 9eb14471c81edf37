package handoff

import (
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// request is a write as its writer sent it.
type request struct {
	place ring.Placement
	took  map[string]bool // the names that acknowledged it
}

// write sends a write to the processes in at, with the token of the view of by.
func (s *scenario) write(a arguments) {
	x, at := a.names[0], a.lists["at"]
	by := s.at(at[0])
	if a.lists["by"] != nil {
		by = s.at(a.lists["by"][0])
	}
	s.writes[x] = &request{by.view.Ring.Placement(0), make(map[string]bool)}
	s.arrive(a)
}

// send sends a write that arrives later, with the token of the view of by.
func (s *scenario) send(a arguments) {
	s.writes[a.names[0]] = &request{s.at(a.lists["by"][0]).view.Ring.Placement(0), make(map[string]bool)}
}

// arrive delivers a write that was sent before to the processes in at.
func (s *scenario) arrive(a arguments) {
	x, at := a.names[0], a.lists["at"]
	require.Contains(s.t, s.writes, x)
	place, took := s.writes[x].place, s.writes[x].took
	for _, name := range at {
		p := s.at(name)
		switch pt := p.machine.parts[0]; {
		case pt == nil || !s.meant(p, place):
			s.print("%s refuses %s: it is meant for other owners", word(p.Process), x)
		case !pt.accepts():
			s.print("%s refuses %s: it is fenced", word(p.Process), x)
		case a.has("open"):
			p.open[x] = false
			s.print("%s accepts %s, which is under way", word(p.Process), x)
		default:
			p.data[x], took[name] = true, true
		}
	}
	if len(took) > 0 {
		s.printWrite(x)
	}
}

// printWrite says which members have acknowledged a write.
func (s *scenario) printWrite(x string) {
	place, took := s.writes[x].place, s.writes[x].took
	acknowledged := "not acknowledged"
	if s.enough(place, took) && s.enough(place.Target(), took) {
		acknowledged = "acknowledged"
	}
	s.print("%s is at %s: %s", x, strings.Join(slices.Sorted(maps.Keys(took)), " "), acknowledged)
}

// meant reports whether the gate of a process admits the token of a placement.
func (s *scenario) meant(p *member, place ring.Placement) bool {
	same := func(a, b Process) bool { return a.ID == b.ID }
	to := new(surroundings).ownersOf(place)
	return p.token == place.Token() || s.names && slices.EqualFunc(p.gate.serving, to.serving, same) && slices.EqualFunc(p.gate.target, to.target, same)
}

func (s *scenario) enough(place ring.Placement, took map[string]bool) bool {
	n := 0
	for _, o := range place.All() {
		if took[o.ID()] {
			n++
		}
	}
	return n >= s.quorum
}

// apply ends a write that was under way.
func (s *scenario) apply(a arguments) {
	x := a.names[0]
	for _, name := range a.lists["at"] {
		p := s.at(name)
		require.Contains(s.t, p.open, x)
		delete(p.open, x)
		p.data[x] = true
		if !slices.Contains(slices.Collect(maps.Values(p.open)), true) {
			s.step(p, Drained{[]int{0}})
		}
		s.writes[x].took[name] = true
	}
	if s.prompt {
		s.printWrite(x)
	}
}
