package measure

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
)

// Defaults of [Options]. Samples are shorter than a time slice of the scheduler. So on
// a shared machine most samples are not interrupted, and the median ignores the others.
const (
	DefaultRounds = 105
	DefaultSample = 2 * time.Millisecond
)

// Options configure the length of a measurement. With the zero value each case takes
// about a quarter of a second.
type Options struct {
	// Rounds is the number of samples of each case. Zero means [DefaultRounds].
	Rounds int
	// Sample is the approximate length of a sample. A sample lasts at least one step of
	// the case. Zero means [DefaultSample].
	Sample time.Duration
	// HoldCollector keeps the garbage collector from running during samples.
	// It then runs between rounds, when there is much garbage.
	HoldCollector bool
	// Progress, if set, is called before each group.
	Progress func(group string)
	// Now is the clock: it returns the time since a fixed moment. Nil means the clock
	// of the machine.
	Now func() time.Duration
}

const (
	mostGarbage = 256 << 20 // the garbage after which the collector runs between rounds
	mostMemory  = 3 << 30   // the garbage after which the collector runs even during a sample
)

// Run measures the cases, group by group, and returns their results in that
// order. It returns an error when a Make fails or the context ends.
func Run(ctx context.Context, cases []Case, o Options) ([]Result, error) {
	if o.Rounds == 0 {
		o.Rounds = DefaultRounds
	}
	if o.Sample == 0 {
		o.Sample = DefaultSample
	}
	if o.Now == nil {
		began := time.Now()
		o.Now = func() time.Duration { return time.Since(began) }
	}
	if o.HoldCollector {
		percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(mostMemory)
		defer debug.SetMemoryLimit(limit)
		defer debug.SetGCPercent(percent)
	}
	var results []Result
	for _, group := range groupsOf(cases, func(c Case) string { return c.Group }) {
		if o.Progress != nil {
			o.Progress(group[0].Group)
		}
		some, err := runGroup(ctx, group, o)
		if err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, nil
}

// runGroup measures the cases of one group in turns. Each round begins with another
// case, so that the case before a case is not always the same.
func runGroup(ctx context.Context, cases []Case, o Options) ([]Result, error) {
	subjects := make([]*subject, len(cases))
	for i, c := range cases {
		runs, err := c.prepare()
		if err != nil {
			return nil, fmt.Errorf("measure: preparing %q of %q: %w", c.Name, c.Group, err)
		}
		subjects[i] = &subject{c: c, now: o.Now, runs: runs, n: c.step()}
	}
	runtime.GC() // so that no sample collects the garbage of Make
	for _, s := range subjects {
		s.calibrate(o.Sample)
	}
	for round := range o.Rounds {
		for i := range subjects {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			subjects[(round+i)%len(subjects)].sample()
		}
		var m runtime.MemStats
		if runtime.ReadMemStats(&m); o.HoldCollector && m.HeapAlloc > mostGarbage {
			runtime.GC()
		}
	}
	results := make([]Result, len(subjects))
	over := func(s *subject, role Role) []float64 {
		at := slices.IndexFunc(cases, func(c Case) bool { return c.Role == role })
		if at < 0 {
			return nil
		}
		return ratios(s.times, subjects[at].times)
	}
	for i, s := range subjects {
		results[i] = s.result()
		results[i].ToFloor, results[i].ToReference = over(s, Floor), over(s, Reference)
	}
	return results, nil
}

// subject is a case that is ready to run.
type subject struct {
	c             Case
	now           func() time.Duration
	runs          []func(n int)
	n             int // operations of each goroutine in a sample
	times         []float64
	allocs, bytes []float64
}

// calibrate finds how many operations fill a sample. Meanwhile caches warm up and
// buffers grow to their size.
func (s *subject) calibrate(sample time.Duration) {
	const (
		tries  = 3   // the shortest of these counts, because the machine may be busy for a moment
		faster = 100 // the largest growth in one step, because the first runs are slow
		most   = 1e9 // operations, for a clock that does not advance
	)
	for {
		took := time.Duration(math.MaxInt64)
		for range tries {
			took = max(min(took, s.time(s.n)), 1)
		}
		wanted := float64(s.n) * min(float64(sample)/float64(took), faster)
		if took > sample*3/4 || wanted > most {
			return
		}
		s.n = int(math.Ceil(wanted/float64(s.c.step()))) * s.c.step()
	}
}

// sample takes one sample.
func (s *subject) sample() {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took := s.time(s.n)
	runtime.ReadMemStats(&after)
	total := float64(s.n * len(s.runs))
	s.times = append(s.times, float64(took)/total)
	s.allocs = append(s.allocs, float64(after.Mallocs-before.Mallocs)/total)
	s.bytes = append(s.bytes, float64(after.TotalAlloc-before.TotalAlloc)/total)
}

// time returns how long n operations take on each goroutine. If there is only one
// goroutine, it is that of the caller.
func (s *subject) time(n int) time.Duration {
	defer s.c.meanwhile()()
	untimed := func() time.Duration {
		if s.c.Untimed == nil {
			return 0
		}
		return *s.c.Untimed
	}
	before := untimed()
	if len(s.runs) == 1 {
		began := s.now()
		s.runs[0](n)
		return s.now() - began - (untimed() - before)
	}
	var ready, ended sync.WaitGroup
	start := make(chan struct{})
	ready.Add(len(s.runs))
	for _, run := range s.runs {
		ended.Go(func() {
			ready.Done()
			<-start
			run(n)
		})
	}
	ready.Wait()
	began := s.now()
	close(start)
	ended.Wait()
	return s.now() - began - (untimed() - before)
}

// meanwhile starts the case's Meanwhile and returns a function that ends it.
func (c Case) meanwhile() (end func()) {
	if c.Meanwhile == nil {
		return func() {}
	}
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() { c.Meanwhile(done) })
	return func() { close(done); ended.Wait() }
}

func (s *subject) result() Result {
	c := s.c
	c.Make, c.Meanwhile = nil, nil
	return Result{
		Case: c, N: s.n * len(s.runs), Times: s.times,
		Allocs: SpreadOf(s.allocs).Median, Bytes: SpreadOf(s.bytes).Median,
	}
}

// Benchmark runs cases under the testing package, for profiles and benchstat. A
// case of several goroutines splits b.N between them: the bookkeeping of
// RunParallel costs about as much as a lookup.
func Benchmark(b *testing.B, cases []Case) {
	for _, c := range cases {
		b.Run(c.Group+"/"+c.Name, func(b *testing.B) {
			runs, err := c.prepare()
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			s := &subject{c: c, runs: runs, now: func() time.Duration { return time.Since(began) }}
			step := c.step() * len(runs)
			steps := (b.N + step - 1) / step
			b.ReportAllocs()
			b.ResetTimer()
			took := s.time(steps * c.step())
			b.StopTimer()
			b.ReportMetric(float64(took)/float64(steps*step), "ns/op") // of whole steps
		})
	}
}
