package main

import (
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// lookup is the report on lookups, for rings and clusters of several sizes.
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
			return kind == "Calls" || kind == "Routing:" || kind == "Batches:" || kind == "Caches:" || kind == "Keys:" && strings.HasSuffix(rest, "strings")
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
		{Name: "routing", Summary: "the nearest owner, the owners of this member, tokens", Cases: routeCases},
		{Name: "growth", Summary: "more members, partitions and replicas", Cases: f.growthCases},
		{Name: "batches", Summary: "keys sorted by owner, in one call and one by one", Cases: f.batchCases},
		{Name: "caches", Summary: "whether a cache of keys could be faster", Cases: f.cacheCases},
		{Name: "goroutines", Summary: "one and several goroutines, with and without rings being published", Cases: scaleCases, Sample: f.longSample, Rounds: 51},
		{Name: "rings", Summary: "building rings, and plans", Cases: f.buildCases, Rounds: 11},
	}
}

// sizes are the sizes of the clusters, key sets and rings of the cases.
type sizes struct {
	members    int         // of the cluster that answers
	cold       int         // keys in a set that no cache holds, a power of two
	partitions []int       // of the rings that Diff compares
	rings      []ringShape // of the rings whose building is timed
	longSample time.Duration
}

// usualSizes are the sizes of a report. A quick one builds no large rings.
func usualSizes(quick bool) sizes {
	s := sizes{
		members: usualMembers, cold: coldKeys, partitions: []int{1024, 4096, 65536, 1 << 20},
		rings:      []ringShape{{usualMembers, usualPartitions, usualReplicas}, {1000, 65536, 3}},
		longSample: 20 * time.Millisecond,
	}
	if quick {
		s.rings = s.rings[:1]
	}
	return s
}
