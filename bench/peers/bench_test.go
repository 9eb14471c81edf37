package main

import (
	"strings"
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

// BenchmarkSpread measures how evenly the libraries spread 65,536 keys over 50 members:
// the share of the member with the most keys, divided by the mean. The IDs of the
// members have different lengths.
func BenchmarkSpread(b *testing.B) {
	k, ids := randomKeys(65_536), make([]string, sizes[0].members)
	for i := range ids {
		ids[i] = "member-" + strings.Repeat("m", i)
	}
	for _, a := range adapters() {
		if a.role == measure.Floor || a.most > 0 {
			continue // a floor names no owners, and a cluster has the owners of its ring
		}
		b.Run(a.name, func(b *testing.B) {
			s, err := a.construct(ids, sizes[0].partitions)
			if err != nil {
				b.Fatal(err)
			}
			defer s.end()
			counts, most := make(map[int]int), 0
			for b.Loop() {
				clear(counts)
				most = 0
				for i := range k.len() {
					length := s.primary(k.part(i, i+1))
					counts[length]++
					most = max(most, counts[length])
				}
			}
			b.ReportMetric(float64(most)*float64(len(ids))/float64(k.len()), "fullest/mean")
		})
	}
}
