package main

import (
	"sync"
	"testing"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// BenchmarkPeers has the cases of the command for benchstat. Each library is
// built when its turn comes and let go after it, so that the collections that
// package testing forces do not look through the others'; but noise falls on
// whoever runs at that moment, and what allocates pays for collections. For
// ratios the command is the better judge.
func BenchmarkPeers(b *testing.B) {
	cold := randomKeys(coldKeys)
	hot := cold.part(0, hotKeys).clone()
	for _, s := range sizes {
		for _, a := range adapters() {
			sc := newScenario(s, []adapter{a}, hot, cold, b.Output())
			benchmark(b, sc.cases)
			sc.end()
		}
		sc := &scenario{size: s, hot: hot, cold: cold, members: memberIDs(s.members)}
		benchmark(b, func(f *failures) []measure.Case {
			batches, err := sc.batches(f)
			if err != nil {
				b.Fatal(err)
			}
			return batches
		})
	}
}

// BenchmarkRebuild has the joins and leaves. A member that joined is gone again
// off the clock.
func BenchmarkRebuild(b *testing.B) {
	sc := &scenario{size: sizes[len(sizes)-1]}
	sc.members = memberIDs(sc.size.members)
	clock, failed := newStopwatch(), new(failures)
	cases, err := sc.rebuilds(clock, failed)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range cases {
		run, err := c.Make()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.Group+"/"+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			from := clock.now()
			run(b.N)
			b.ReportMetric(float64(clock.now()-from)/float64(b.N), "ns/op")
		})
	}
	if err := failed.err(); err != nil {
		b.Fatal(err)
	}
}

func benchmark(b *testing.B, cases func(*failures) []measure.Case) {
	failed := new(failures)
	for _, c := range cases(failed) {
		b.Run(c.Group+"/"+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			var runs []func(int)
			for range max(c.Goroutines, 1) {
				run, err := c.Make()
				if err != nil {
					b.Fatal(err)
				}
				runs = append(runs, run)
			}
			b.ResetTimer()
			var ended sync.WaitGroup
			for _, run := range runs {
				ended.Go(func() { run((b.N + len(runs) - 1) / len(runs)) })
			}
			ended.Wait()
		})
	}
	if err := failed.err(); err != nil {
		b.Fatal(err)
	}
}
