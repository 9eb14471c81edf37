package main

import (
	"testing"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// BenchmarkPeers has the cases of the command for benchstat. The garbage collector runs
// while they are timed, and a disturbance affects only one case. So ratios of the
// command are more reliable.
func BenchmarkPeers(b *testing.B) {
	for _, p := range peers(sizes, adapters(), b.Output()).Parts(false) {
		b.Run(p.Name, func(b *testing.B) {
			if p.End != nil {
				defer func() { p.End() }()
			}
			cases, err := p.Cases()
			if err != nil {
				b.Fatal(err)
			}
			measure.Benchmark(b, cases)
		})
	}
}
