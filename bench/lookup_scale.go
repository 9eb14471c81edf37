package main

import (
	"fmt"
	"runtime"
	"slices"
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

// stalls are the pauses of a reader in several runs.
type stalls struct {
	name   string
	writer func(done <-chan struct{}) error
	// longest is the longest pause of each run, over how many pauses exceeded
	// noticeable, and read how long the reader read.
	longest []float64 // nanoseconds
	over    int
	read    time.Duration
}

// noticeable is the shortest pause that is counted.
const noticeable = 100 * time.Microsecond

// stallTables measure the longest pause of a goroutine that looks keys up while
// another publishes rings, or builds and publishes them. Pauses without a writer are
// those of the machine and the Go runtime. The kinds of run take turns.
func (f *fixture) stallTables() ([]measure.Table, error) {
	all := nodes(usualMembers + 1)
	config := ring.Config{PartitionCount: usualPartitions, ReplicationFactor: usualReplicas, Strategy: rebalance.Rendezvous{}}
	before, err := ring.Build(config, all[:usualMembers])
	if err != nil {
		return nil, err
	}
	after, err := ring.Build(config, all)
	if err != nil {
		return nil, err
	}
	p, keys := publish(before), keySet[string](hotKeys, 16)
	kinds := []*stalls{
		{name: "no writer", writer: func(<-chan struct{}) error { return nil }},
		{name: fmt.Sprintf("a ring published every %v", publishInterval), writer: func(done <-chan struct{}) error {
			p.alternate(before, after)(done)
			return nil
		}},
		{name: fmt.Sprintf("a ring built and published every %v", publishInterval), writer: func(done <-chan struct{}) error {
			return p.publishing(done, func(i int) (*ring.Ring, error) { return ring.Build(config, all[:len(all)-i%2]) })
		}},
	}
	for range f.stallRuns {
		for _, k := range kinds {
			if err := k.run(p, keys, f.stallLength); err != nil {
				return nil, err
			}
		}
	}
	return []measure.Table{stallTable(kinds, f.stallLength)}, nil
}

// run reads for a while.
func (s *stalls) run(p *published, keys []string, length time.Duration) error {
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() { failed <- s.writer(done) }()
	const block = 64 // lookups between two looks at the clock
	var owner ring.Owner
	began := time.Now()
	longest, last := time.Duration(0), time.Duration(0)
	for at := 0; last < length; at += block {
		for i := at; i < at+block; i++ {
			owner, _ = p.Lookup(keys[i&(len(keys)-1)]).Primary()
		}
		now := time.Since(began)
		pause := now - last
		last = now
		longest = max(longest, pause)
		if pause > noticeable {
			s.over++
		}
	}
	runtime.KeepAlive(owner)
	s.longest = append(s.longest, float64(longest))
	s.read += last
	close(done)
	return <-failed
}

// stallTable shows the longest pauses.
func stallTable(kinds []*stalls, length time.Duration) measure.Table {
	t := measure.Table{
		Title: "The longest pause of a reader",
		Head:  []string{"", "median run", "worst run", "pauses over 0.1 ms, a second"},
		Note: fmt.Sprintf("%d runs of %v each. One goroutine does nothing but look keys up, on a machine that gives it and the writer %d processors. Rings are built by rendezvous: 50 and 51 members, 4096 partitions × 3.",
			len(kinds[0].longest), length, runtime.GOMAXPROCS(0)),
	}
	for _, k := range kinds {
		t.Rows = append(t.Rows, []string{
			k.name, measure.Duration(measure.SpreadOf(k.longest).Median), measure.Duration(slices.Max(k.longest)),
			fmt.Sprintf("%.1f", float64(k.over)/k.read.Seconds()),
		})
	}
	return t
}
