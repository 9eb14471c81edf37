package main

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
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

// BenchmarkReaderPause measures the longest pause of a goroutine that looks keys up
// while another one publishes rings, or builds and publishes them. The case without a
// writer shows the pauses of the machine and the Go runtime. An operation lasts a tenth
// of a second.
func BenchmarkReaderPause(b *testing.B) {
	all := nodes(usualMembers + 1)
	config := ring.Config{PartitionCount: usualPartitions, ReplicationFactor: usualReplicas, Strategy: rebalance.Rendezvous{}}
	build := func(i int) (*ring.Ring, error) { return ring.Build(config, all[:len(all)-i%2]) }
	before, err := build(1)
	if err != nil {
		b.Fatal(err)
	}
	after, err := build(0)
	if err != nil {
		b.Fatal(err)
	}
	p := publish(before)
	for _, writer := range []struct {
		name  string
		write func(done <-chan struct{}) error
	}{
		{"no writer", func(<-chan struct{}) error { return nil }},
		{"a ring published every 10ms", func(done <-chan struct{}) error { p.alternate(before, after)(done); return nil }},
		{"a ring built and published every 10ms", func(done <-chan struct{}) error { return p.publishing(done, build) }},
	} {
		b.Run(writer.name, func(b *testing.B) {
			done, failed := make(chan struct{}), make(chan error, 1)
			go func() { failed <- writer.write(done) }()
			var longest []float64
			for b.Loop() {
				longest = append(longest, float64(p.longestPause(100*time.Millisecond)))
			}
			close(done)
			if err := <-failed; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(measure.SpreadOf(longest).Median, "median-pause-ns")
			b.ReportMetric(slices.Max(longest), "longest-pause-ns")
		})
	}
}

// longestPause looks keys up for a while and returns the longest pause.
func (p *published) longestPause(length time.Duration) (longest time.Duration) {
	const block = 64 // lookups between two readings of the clock
	keys := keySet[string](hotKeys, 16)
	var owner ring.Owner
	began := time.Now()
	for at, last := 0, time.Duration(0); last < length; at += block {
		for i := at; i < at+block; i++ {
			owner, _ = p.Lookup(keys[i&(len(keys)-1)]).Primary()
		}
		now := time.Since(began)
		longest, last = max(longest, now-last), now
	}
	runtime.KeepAlive(owner)
	return longest
}

// BenchmarkRingMemory measures the heap that a ring keeps.
func BenchmarkRingMemory(b *testing.B) {
	for _, s := range []ringShape{{5, 4096, 3}, {50, 4096, 3}, {1000, 4096, 3}, {1000, 65536, 3}, {1000, 65536, 5}} {
		b.Run(fmt.Sprint(s), func(b *testing.B) {
			var sizes []float64
			for b.Loop() {
				size, err := ringSize(s)
				if err != nil {
					b.Fatal(err)
				}
				sizes = append(sizes, size)
			}
			b.ReportMetric(measure.SpreadOf(sizes).Median, "B/ring")
		})
	}
}

// ringSize returns how many bytes of heap a ring keeps: the mean of many rings, so that
// the rest of the process has little influence.
func ringSize(s ringShape) (float64, error) {
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	kept := make([]*ring.Ring, min(4<<20/(2*s.partitions*s.replicas), 128))
	before := heap()
	for i := range kept {
		var err error
		if kept[i], err = buildRing(s.members, s.partitions, s.replicas); err != nil {
			return 0, err
		}
	}
	size := (heap() - before) / float64(len(kept))
	runtime.KeepAlive(kept)
	return size, nil
}
