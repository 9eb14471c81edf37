package main

import (
	"fmt"
	"io"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

const (
	// hotKeys is a number of keys that fit the fastest cache, with the data of their
	// lookups.
	hotKeys = 1024
	// coldKeys is a number of keys that fit only a cache that many processors share.
	coldKeys = 1_000_000
	// stride is the number of keys that a loop gets at once. It is large, so that the
	// call of the loop adds little time for each key.
	stride = 1024
	// hotName is a part of the names of groups with hot keys.
	hotName = "1024 hot keys"
)

// scenario is a size of a cluster, with the libraries that are measured at that size.
type scenario struct {
	size
	hot, cold keys
	members   []string
	entrants  []entrant
}

// entrant is an adapter that has passed gate.
type entrant struct {
	adapter
	*subject
}

// newScenario builds the scenario of a size. It leaves out the adapters that do not
// pass gate or cannot be built, and writes why.
func newScenario(s size, list []adapter, tell io.Writer) *scenario {
	sc := &scenario{size: s, hot: randomKeys(hotKeys), cold: randomKeys(coldKeys), members: memberIDs(s.members)}
	for _, a := range list {
		if a.most > 0 && s.members > a.most {
			_, _ = fmt.Fprintf(tell, "%s, %d members: left out, it is measured with at most %d\n", a.name, s.members, a.most)
			continue
		}
		err := a.pass(sc.hot.part(0, gateKeys))
		var built *subject
		if err == nil {
			built, err = a.construct(memberIDs(s.members), s.partitions)
		}
		if err != nil {
			_, _ = fmt.Fprintf(tell, "%s, %d members: not timed: %v\n", a.name, s.members, err)
			continue
		}
		sc.entrants = append(sc.entrants, entrant{a, built})
	}
	return sc
}

// end releases the libraries of the scenario.
func (sc *scenario) end() {
	for _, a := range sc.entrants {
		a.end()
	}
}

// lookups returns the cases of a scenario, by question, keys and goroutines.
func (sc *scenario) lookups() []measure.Case {
	var all []measure.Case
	for _, q := range []struct {
		name string
		ask  func(*subject) func(keys) int
	}{
		{"primary", func(s *subject) func(keys) int { return s.primary }},
		{"three owners", func(s *subject) func(keys) int { return s.three }},
	} {
		for _, k := range []struct {
			name string
			keys keys
		}{{hotName, sc.hot}, {"a million keys", sc.cold}} {
			for n, goroutines := range []string{"1 goroutine", "2 goroutines"} {
				for _, a := range sc.entrants {
					ask := q.ask(a.subject)
					if ask == nil {
						continue
					}
					start := 0
					all = append(all, measure.Case{
						Group: fmt.Sprintf("%s, %s, %d members, %s", q.name, k.name, sc.size.members, goroutines),
						Name:  a.name, Role: a.role, Goroutines: n + 1,
						Make: func() (func(int), error) {
							walk := &walk{keys: k.keys, at: start, ask: ask}
							start = (start + k.keys.len()/(n+1)) % k.keys.len()
							return walk.run, nil
						},
					})
				}
			}
		}
	}
	return all
}

// walk looks keys up in turn. Each call begins where the last one ended.
type walk struct {
	keys keys
	at   int
	ask  func(keys) int
	sum  int // so that the compiler cannot drop the work
}

func (w *walk) run(n int) {
	for n > 0 {
		to := min(w.at+min(n, stride), w.keys.len())
		w.sum += w.ask(w.keys.part(w.at, to))
		n -= to - w.at
		if w.at = to; to == w.keys.len() {
			w.at = 0
		}
	}
}
