package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// size is a cluster that is asked.
type size struct{ members, partitions int }

// sizes are measured one after the other. What knows the members of one is let
// go before the next is built.
var sizes = []size{{50, 4096}, {1000, 65_536}}

// scenario is a size with everything that can be asked about it.
type scenario struct {
	size
	hot, cold keys
	members   []string
	entrants  []entrant
}

// entrant is an adapter that has passed the gate.
type entrant struct {
	adapter
	*subject
}

// newScenario builds the scenario of a size and holds every adapter in it against the gate.
// An adapter that does not pass is reported and left out.
func newScenario(s size, list []adapter, hot, cold keys, tell io.Writer) *scenario {
	sc := &scenario{size: s, hot: hot, cold: cold, members: memberIDs(s.members)}
	for _, a := range list {
		subject, err := a.construct(slices.Clone(sc.members), s.partitions)
		switch {
		case errors.Is(err, errUnfit):
			_, _ = fmt.Fprintf(tell, "%s, %d members: %v\n", a.name, s.members, err)
			continue
		case err != nil:
			_, _ = fmt.Fprintf(tell, "%s, %d members: not timed: %v\n", a.name, s.members, err)
			continue
		}
		for _, q := range questions {
			w := q.of(subject)
			if *w == nil {
				continue
			}
			if err := (*w).check(sc.members, hot.part(0, gateKeys), q.owners); err != nil {
				_, _ = fmt.Fprintf(tell, "%s, %d members, %s: not timed: %v\n", a.name, s.members, q.name, err)
				*w = nil
			}
		}
		sc.entrants = append(sc.entrants, entrant{a, subject})
	}
	return sc
}

// end releases what the scenario holds.
func (sc *scenario) end() {
	for _, a := range sc.entrants {
		if a.close != nil {
			a.close()
		}
	}
	sc.entrants = nil
}

// construct is build, with a panic for an error.
func (a adapter) construct(members []string, partitions int) (s *subject, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return a.build(members, partitions)
}

// question is what is asked about a key.
type question struct {
	name   string
	owners int
	of     func(*subject) **work
}

var questions = []question{
	{"primary", 1, func(s *subject) **work { return &s.primary }},
	{"three owners", replicas, func(s *subject) **work { return &s.three }},
}
