package main

import (
	"sync"
	"testing"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// BenchmarkLookup runs the cases of the lookup report under the testing package,
// for profiles and for benchstat across commits. Names are part/group/case:
//
//	go test -run '^$' -bench 'Lookup/cluster' -cpu 1,2 ./bench
//
// Cases of several goroutines split b.N between them. That is not RunParallel,
// whose bookkeeping for each operation costs about as much as a lookup.
func BenchmarkLookup(b *testing.B) {
	for _, c := range chapters {
		b.Run(c.name, func(b *testing.B) {
			f := newFixture(b.Context(), usualSizes(false))
			defer f.stop()
			cases := c.cases(f)
			for i, k := range cases {
				if i == 0 || cases[i-1].Group != k.Group {
					b.Run(k.Group, func(b *testing.B) { benchGroup(b, cases[i:], k.Group) })
				}
			}
		})
	}
}

func benchGroup(b *testing.B, cases []measure.Case, group string) {
	for _, c := range cases {
		if c.Group != group {
			return
		}
		b.Run(c.Name, func(b *testing.B) { benchCase(b, c) })
	}
}

func benchCase(b *testing.B, c measure.Case) {
	runs := make([]func(int), max(c.Goroutines, 1))
	for i := range runs {
		run, err := c.Make()
		if err != nil {
			b.Fatal(err)
		}
		runs[i] = run
	}
	step := max(c.Step, 1) * len(runs)
	total := (b.N + step - 1) / step * step
	done := make(chan struct{})
	var writer, ended sync.WaitGroup
	if c.Meanwhile != nil {
		writer.Go(func() { c.Meanwhile(done) })
	}
	b.ReportAllocs()
	b.ResetTimer()
	if len(runs) == 1 {
		runs[0](total)
	} else {
		for _, run := range runs {
			ended.Go(func() { run(total / len(runs)) })
		}
		ended.Wait()
	}
	b.StopTimer()
	close(done)
	writer.Wait()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/op") // of whole steps
}
