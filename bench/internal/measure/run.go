package measure

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Defaults of [Options]. Many short samples tell more than a few long ones: on a
// machine that is shared, one that is shorter than the scheduler's slices is
// mostly left alone, and the median does not mind the others.
const (
	DefaultRounds = 105
	DefaultSample = 2 * time.Millisecond
)

// Options say how long to measure. The zero value takes about a quarter of a
// second for each case.
type Options struct {
	// Rounds is how many samples each case has. Zero means [DefaultRounds].
	Rounds int
	// Sample is about how long a sample lasts, or one step of the case when
	// that takes longer. Zero means [DefaultSample].
	Sample time.Duration
	// Progress, when set, is called before a group is prepared and after
	// each of its rounds; the work of all groups together is total, of which
	// done is done.
	Progress func(group string, done, total int)
	// Now is the clock, as the time since some moment. Nil means the
	// machine's own.
	Now func() time.Duration
}

// Run measures the cases, group by group, and returns their results in the same
// order; the cases of a group must stand together. It returns an error when two
// cases of a group have one name or one role that only one may have, when a
// Make fails, or when the context ends.
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
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	groups, err := split(cases)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, group := range groups {
		done := len(results) * o.Rounds
		o.Progress(group[0].Group, done, len(cases)*o.Rounds)
		some, err := runGroup(ctx, group, o, func(rounds int) {
			o.Progress(group[0].Group, done+rounds*len(group), len(cases)*o.Rounds)
		})
		if err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, nil
}

// split checks the cases and cuts them into groups.
func split(cases []Case) ([][]Case, error) {
	type name struct{ group, name string }
	type role struct {
		group string
		role  Role
	}
	var groups [][]Case
	names, roles, seen := make(map[name]bool), make(map[role]string), make(map[string]bool)
	for i, c := range cases {
		if names[name{c.Group, c.Name}] {
			return nil, fmt.Errorf("measure: group %q has two cases called %q", c.Group, c.Name)
		}
		names[name{c.Group, c.Name}] = true
		if c.Role != Plain {
			if other, taken := roles[role{c.Group, c.Role}]; taken {
				return nil, fmt.Errorf("measure: group %q has two cases of one role, %q and %q", c.Group, other, c.Name)
			}
			roles[role{c.Group, c.Role}] = c.Name
		}
		if i == 0 || cases[i-1].Group != c.Group {
			if seen[c.Group] {
				return nil, fmt.Errorf("measure: the cases of group %q do not stand together", c.Group)
			}
			seen[c.Group] = true
			groups = append(groups, nil)
		}
		last := &groups[len(groups)-1]
		*last = append(*last, c)
	}
	return groups, nil
}

// runGroup measures the cases of one group in turns. Each round begins with
// another case, so that none always follows the same one.
func runGroup(ctx context.Context, cases []Case, o Options, ended func(rounds int)) ([]Result, error) {
	subjects := make([]*subject, len(cases))
	for i, c := range cases {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := newSubject(c, o.Now)
		if err != nil {
			return nil, fmt.Errorf("measure: preparing %q of %q: %w", c.Name, c.Group, err)
		}
		subjects[i] = s
	}
	runtime.GC() // what was built only to prepare is not collected in a sample
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
		ended(round + 1)
	}
	results := make([]Result, len(subjects))
	for i, s := range subjects {
		results[i] = s.result()
	}
	for i := range results {
		if at := holder(cases, Floor); at >= 0 {
			results[i].ToFloor = Over(results[i].Times, results[at].Times)
		}
		if at := holder(cases, Reference); at >= 0 {
			results[i].ToReference = Over(results[i].Times, results[at].Times)
		}
	}
	return results, nil
}

// Over returns the ratios of two cases, round by round.
func Over(times, unit []float64) []float64 {
	ratios := make([]float64, len(times))
	for i := range times {
		ratios[i] = times[i] / unit[i]
	}
	return ratios
}

// subject is a case that is ready to run.
type subject struct {
	c             Case
	now           func() time.Duration
	runs          []func(n int)
	n             int // operations a goroutine in each sample
	times         []float64
	allocs, bytes []float64
}

func newSubject(c Case, now func() time.Duration) (*subject, error) {
	s := &subject{c: c, now: now, n: c.step()}
	for range c.goroutines() {
		run, err := c.Make()
		if err != nil {
			return nil, err
		}
		s.runs = append(s.runs, run)
	}
	return s, nil
}

// calibrate finds how many operations fill a sample. On the way caches warm up
// and buffers grow to their size.
func (s *subject) calibrate(sample time.Duration) {
	const (
		tries  = 3   // of which the shortest counts: the machine may be busy for a moment
		faster = 100 // times as many at once: the first runs are no measure
		most   = 1e9 // operations, for a clock that stands still
	)
	for {
		took := time.Duration(math.MaxInt64)
		for range tries {
			took = max(min(took, s.time(s.n)), 1)
		}
		if took > sample*3/4 {
			return
		}
		wanted := float64(s.n) * min(float64(sample)/float64(took), faster)
		if wanted > most {
			return
		}
		s.n = int(math.Ceil(wanted/float64(s.c.step()))) * s.c.step()
	}
}

// sample takes one.
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

// time takes the time of n operations on each goroutine. One that is alone runs
// on the caller's.
func (s *subject) time(n int) time.Duration {
	if s.c.Meanwhile != nil {
		done := make(chan struct{})
		var ended sync.WaitGroup
		ended.Go(func() { s.c.Meanwhile(done) })
		defer ended.Wait()
		defer close(done)
	}
	if len(s.runs) == 1 {
		began := s.now()
		s.runs[0](n)
		return s.now() - began
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
	return s.now() - began
}

func (s *subject) result() Result {
	slices.Sort(s.allocs)
	slices.Sort(s.bytes)
	c := s.c
	c.Make, c.Meanwhile = nil, nil
	return Result{
		Case: c, N: s.n * len(s.runs), Times: s.times,
		Allocs: quantile(s.allocs, 0.5), Bytes: quantile(s.bytes, 0.5),
	}
}
