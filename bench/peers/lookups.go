package main

import (
	"fmt"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

const (
	// hotKeys fit the nearest cache with what is looked up for them.
	hotKeys = 1024
	// coldKeys do not fit any cache that is not shared by many processors.
	coldKeys = 1_000_000
	// stride is how many keys a loop is given at once. It spreads the cost
	// of calling the loop thin.
	stride = 1024
)

// hotName is what groups of hot keys have in their names.
const hotName = "1024 hot keys"

// cases are the look-ups of a scenario, by question, keys and goroutines.
func (sc *scenario) cases(f *failures) []measure.Case {
	var all []measure.Case
	for _, q := range questions {
		for _, k := range []struct {
			name string
			keys keys
		}{{hotName, sc.hot}, {"a million keys", sc.cold}} {
			for goroutines := 1; goroutines <= 2; goroutines++ {
				group := fmt.Sprintf("%s, %s, %d members, %s", q.name, k.name, sc.size.members, plural(goroutines, "goroutine"))
				for _, a := range sc.entrants {
					w := *q.of(a.subject)
					if w == nil {
						continue
					}
					start := 0
					all = append(all, measure.Case{
						Group: group, Name: a.name, Role: role(a.adapter), Goroutines: goroutines,
						Make: func() (func(int), error) {
							walk := &walk{keys: k.keys, at: start, loop: w.loop, failed: f.of(group, a.name)}
							start = (start + k.keys.len()/goroutines) % k.keys.len()
							return walk.run, nil
						},
					})
				}
			}
		}
	}
	return all
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// role is what an adapter is to the others while measuring. There is one floor,
// and one of ours to weigh the peers against: the one that costs what a look-up
// in a cluster costs, and can be had at any size.
func role(a adapter) measure.Role {
	switch a.name {
	case hashAlone.name:
		return measure.Floor
	case clusterkitPointer.name:
		return measure.Reference
	}
	return measure.Plain
}

// walk asks about keys in turn, and goes on where it stopped.
type walk struct {
	keys   keys
	at     int
	loop   func(keys) (int, error)
	failed func(error)
	sum    int // so that nothing is thrown away unused
}

func (w *walk) run(n int) {
	for n > 0 {
		to := min(w.at+min(n, stride), w.keys.len())
		sum, err := w.loop(w.keys.part(w.at, to))
		if err != nil {
			w.failed(err)
		}
		w.sum += sum
		n -= to - w.at
		if w.at = to; to == w.keys.len() {
			w.at = 0
		}
	}
}
