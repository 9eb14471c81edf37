package main

import (
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// lookup is the report on lookups, over rings and clusters of some sizes.
func lookup(of func(quick bool) sizes) measure.Report {
	return measure.Report{
		Name: "lookup", Title: "Looking up a key", Rounds: measure.DefaultRounds, QuickRounds: 15,
		About: `Measures how long it takes to find the owners of a key, and what else a member
computes. Cases take turns in short samples. Figures are medians with quartiles.
Ratios are taken within each round, to the floor: the hash of the key alone, unless
a table marks another floor.`,
		Notes: "docs/performance.md says how to read the tables.",
		Parts: func(quick bool) []measure.Part { return lookupParts(newFixture(of(quick))) },
		Drawn: func(r measure.Result) bool {
			kind, rest, _ := strings.Cut(r.Case.Group, " ")
			return kind == "Calls" || kind == "Batches:" || kind == "Caches:" || kind == "Keys:" && strings.HasSuffix(rest, "strings")
		},
	}
}

// lookupParts are the parts of the report, in its order.
func lookupParts(f *fixture) []measure.Part {
	return []measure.Part{
		{Name: "cluster", Summary: "the calls of package cluster, and HTTP", End: f.stop, Cases: func() ([]measure.Case, error) {
			c, err := f.member()
			if err != nil {
				return nil, err
			}
			return append(clusterCases(c, f.members), httpCases(c)...), nil
		}},
		{Name: "keys", Summary: "strings and bytes, short and long, hot and cold", Cases: f.keyCases},
		{Name: "growth", Summary: "more members, partitions and replicas", Cases: f.growthCases},
		{Name: "batches", Summary: "keys sorted by owner, in one call and one by one", Cases: f.batchCases},
		{Name: "caches", Summary: "whether a cache of keys could be faster", Cases: f.cacheCases},
		{
			Name: "goroutines", Summary: "throughput on one and on several processors, and the longest pause of a reader",
			Cases: scaleCases, Sample: f.longSample, Rounds: 51,
			Tables: func(results []measure.Result) []measure.Table { return []measure.Table{scaleTable(results)} },
			More:   f.stallTables,
		},
		{Name: "rings", Summary: "building rings, plans, and the memory of a ring", Cases: f.buildCases, Rounds: 11, More: f.memoryTables},
	}
}

// sizes are how large the things are that cases work on, and how long the parts
// take that are no cases.
type sizes struct {
	members     int         // of the cluster that is asked
	cold        int         // keys in a set that no cache holds, a power of two
	partitions  []int       // of the rings that are compared
	rings       []ringShape // whose building is timed
	memory      []ringShape // whose memory is measured
	longSample  time.Duration
	stallRuns   int
	stallLength time.Duration
}

// usualSizes are those of a report. A quick one builds no large rings.
func usualSizes(quick bool) sizes {
	usual, large := ringShape{usualMembers, usualPartitions, usualReplicas}, ringShape{1000, 65536, 3}
	s := sizes{
		members: usualMembers, cold: coldKeys, partitions: []int{1024, 4096, 65536, 1 << 20},
		rings:      []ringShape{usual, large},
		memory:     []ringShape{{5, 4096, 3}, usual, {1000, 4096, 3}, large, {1000, 65536, 5}},
		longSample: 20 * time.Millisecond, stallRuns: 9, stallLength: time.Second,
	}
	if quick {
		s.rings, s.stallRuns, s.stallLength = s.rings[:1], 5, 200*time.Millisecond
	}
	return s
}
