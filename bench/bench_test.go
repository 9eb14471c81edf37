package main

import (
	"testing"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// BenchmarkLookup runs the cases of the lookup report under the testing package,
// for profiles and for benchstat across commits. Names are part/group/case:
//
//	go test -run '^$' -bench 'Lookup/cluster' -cpu 1,2 ./bench
func BenchmarkLookup(b *testing.B) {
	for _, p := range lookupParts(newFixture(usualSizes(false))) {
		b.Run(p.Name, func(b *testing.B) {
			if p.End != nil {
				defer p.End()
			}
			cases, err := p.Cases()
			if err != nil {
				b.Fatal(err)
			}
			measure.Benchmark(b, cases)
		})
	}
}
