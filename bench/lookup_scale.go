package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// goroutineCounts are one, two, and as many as there are processors.
func goroutineCounts() []int {
	return slices.Compact(slices.Sorted(slices.Values([]int{1, min(2, runtime.GOMAXPROCS(0)), runtime.GOMAXPROCS(0)})))
}

// scaleCases do the same work on more and more goroutines, with and without
// rings being published. Those of one row of the table follow each other.
func scaleCases() ([]measure.Case, error) {
	const group = "Goroutines: hot keys of 16 bytes, 50 members"
	keys := keysOf(hotKeys, 16)
	before, err := buildRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
	}
	after, err := buildRing(usualMembers+1, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
	}
	quiet, busy := publish(before), publish(before)
	meanwhile := busy.alternate(before, after)
	var cases []measure.Case
	for _, row := range []measure.Case{
		{Name: "hash alone", Make: hashAlone(keys)},
		{Name: "hash alone, rings published", Make: hashAlone(keys), Meanwhile: meanwhile},
		{Name: "primary", Make: primary(quiet, keys)},
		{Name: "primary, rings published", Make: primary(busy, keys), Meanwhile: meanwhile},
		{Name: "three replicas", Make: owners(quiet, keys)},
		{Name: "three replicas, rings published", Make: owners(busy, keys), Meanwhile: meanwhile},
		{Name: "a cache, map behind a read lock", Make: throughLockedMap(quiet, keys)},
	} {
		for _, count := range goroutineCounts() {
			c := row
			c.Group, c.Goroutines = group, count
			c.Name = fmt.Sprintf("%s, on %d", row.Name, count)
			if len(cases) == 0 {
				c.Role = measure.Floor
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

// scaleTable shows throughput and how it grows, a row for each kind of work.
func scaleTable(results []measure.Result) measure.Table {
	counts := goroutineCounts()
	t := measure.Table{
		Title: results[0].Case.Group, Head: []string{"million operations a second"},
		Note: fmt.Sprintf("Rings published: another every %v, in turn one of 50 members and one of 51.", publishInterval),
	}
	for _, n := range counts {
		t.Head = append(t.Head, fmt.Sprintf("on %d", n))
		if n > 1 {
			t.Head = append(t.Head, "times one", "quartiles")
		}
	}
	for row := range slices.Chunk(results, len(counts)) {
		name := row[0].Case.Name
		cells := []string{name[:len(name)-len(", on 1")]}
		for i, r := range row {
			cells = append(cells, fmt.Sprintf("%.1f", 1e3/r.Time().Median))
			if i > 0 {
				grown := measure.SpreadOf(measure.Over(row[0].Times, r.Times))
				cells = append(cells, fmt.Sprintf("%.2f", grown.Median), fmt.Sprintf("%.2f–%.2f", grown.Low, grown.High))
			}
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// stallTables measure the longest pause of a goroutine that looks keys up while
// another publishes rings, or builds and publishes them. Pauses without a writer are
// those of the machine and the Go runtime. The kinds of run take turns.
func (f *fixture) stallTables() ([]measure.Table, error) {
	all := nodes(usualMembers + 1)
	config := ring.Config{PartitionCount: usualPartitions, ReplicationFactor: usualReplicas, Strategy: rebalance.Rendezvous{}}
	build := func(i int) (*ring.Ring, error) { return ring.Build(config, all[:len(all)-i%2]) }
	after, err := build(0)
	if err != nil {
		return nil, err
	}
	before, err := build(1)
	if err != nil {
		return nil, err
	}
	p := publish(before)
	kinds := []struct {
		name  string
		write func(done <-chan struct{}) error
	}{
		{"no writer", func(<-chan struct{}) error { return nil }},
		{"a ring published every %v", func(done <-chan struct{}) error { p.alternate(before, after)(done); return nil }},
		{"a ring built and published every %v", func(done <-chan struct{}) error { return p.publishing(done, build) }},
	}
	t := measure.Table{
		Title: "The longest pause of a reader", Head: []string{"", "median run", "worst run", "pauses over 0.1 ms, a second"},
		Note: fmt.Sprintf("%d runs of %v each. One goroutine does nothing but look keys up, on a machine that gives it and the writer %d processors. Rings are built by rendezvous: 50 and 51 members, 4096 partitions × 3.",
			f.stallRuns, f.stallLength, runtime.GOMAXPROCS(0)),
	}
	longest, over := make([][]float64, len(kinds)), make([]int, len(kinds))
	for range f.stallRuns {
		for i, k := range kinds {
			done, failed := make(chan struct{}), make(chan error, 1)
			go func() { failed <- k.write(done) }()
			pause, some := p.pauses(f.stallLength)
			close(done)
			if err := <-failed; err != nil {
				return nil, err
			}
			longest[i] = append(longest[i], float64(pause))
			over[i] += some
		}
	}
	for i, k := range kinds {
		t.Rows = append(t.Rows, []string{
			strings.ReplaceAll(k.name, "%v", publishInterval.String()),
			measure.Duration(measure.SpreadOf(longest[i]).Median), measure.Duration(slices.Max(longest[i])),
			fmt.Sprintf("%.1f", float64(over[i])/(f.stallLength.Seconds()*float64(f.stallRuns))),
		})
	}
	return []measure.Table{t}, nil
}

// pauses looks keys up for a while. It returns the longest pause, and how many pauses
// took over a tenth of a millisecond.
func (p *published) pauses(length time.Duration) (longest time.Duration, over int) {
	const block = 64 // lookups between two looks at the clock
	keys := keySet[string](hotKeys, 16)
	var owner ring.Owner
	began := time.Now()
	for at, last := 0, time.Duration(0); last < length; at += block {
		for i := at; i < at+block; i++ {
			owner, _ = p.Lookup(keys[i&(len(keys)-1)]).Primary()
		}
		now := time.Since(began)
		longest = max(longest, now-last)
		if now-last > 100*time.Microsecond {
			over++
		}
		last = now
	}
	runtime.KeepAlive(owner)
	return longest, over
}
