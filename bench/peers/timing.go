package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// measure builds a scenario for each size in turn and times the adapters in it.
func (o options) measure(ctx context.Context, sizes []size, list []adapter, progress io.Writer) (report, error) {
	r := report{machine: measure.ThisMachine(), options: o}
	cold := randomKeys(coldKeys)
	hot := cold.part(0, hotKeys).clone() // beside each other, and nowhere near the others
	for i, size := range sizes {
		_, _ = fmt.Fprintf(progress, "%d members: building, and holding against the gate\n", size.members)
		sc := newScenario(size, list, hot, cold, progress)
		if i == 0 {
			r.members, r.profiles = size.members, sc.profiles()
		}
		results, err := o.time(ctx, sc, i == len(sizes)-1, progress)
		sc.end()
		if err != nil {
			return report{}, err
		}
		r.results = append(r.results, results...)
	}
	if len(r.results) == 0 {
		return report{}, fmt.Errorf("-only: no table has %q in its title", o.only)
	}
	return r, nil
}

// time times the adapters of a scenario. Members join and leave in the last only.
func (o options) time(ctx context.Context, sc *scenario, last bool, progress io.Writer) ([]measure.Result, error) {
	clock, failed := newStopwatch(), new(failures)
	cases := sc.cases(failed)
	batches, err := sc.batches(failed)
	if err != nil {
		return nil, err
	}
	cases = append(cases, batches...)
	if last {
		rebuilds, err := sc.rebuilds(clock, failed)
		if err != nil {
			return nil, err
		}
		cases = append(cases, rebuilds...)
	}
	cases = slices.DeleteFunc(cases, func(c measure.Case) bool { return !strings.Contains(c.Group, o.only) })
	restore := holdCollector()
	defer restore()
	teller := measure.NewTeller(progress, len(cases)*o.rounds)
	results, err := measure.Run(ctx, cases, measure.Options{
		Rounds: o.rounds, Sample: o.sample, Now: clock.now,
		Progress: func(group string, done, total int) {
			collect()
			teller.Progress(group, done, total)
		},
	})
	teller.End()
	if err == nil {
		err = failed.err()
	}
	return results, err
}

const (
	// mostGarbage may lie about before it is collected between two rounds.
	mostGarbage = 256 << 20
	// mostMemory may be in use before the collector runs whenever it likes.
	mostMemory = 3 << 30
)

// holdCollector keeps the collector from running while something is timed: it
// would look through what all libraries have built, and charge that to those that
// allocate.
func holdCollector() (restore func()) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(mostMemory)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// collect collects garbage when there is much.
func collect() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > mostGarbage {
		runtime.GC()
	}
}
