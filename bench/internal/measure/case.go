// Package measure times small operations against each other and reports the
// results as tables, CSV and pictures.
//
// The cases of a group take turns: each has one short sample in every round. A
// disturbance of the machine therefore falls on all cases alike. The time of a
// case is the median of its samples. Its ratio to another case is the median of
// the ratios within each round. Both come with quartiles.
//
//	results, err := measure.Run(ctx, []measure.Case{
//		{Group: "Primary", Name: "hash alone", Role: measure.Floor, Make: hash},
//		{Group: "Primary", Name: "clusterkit", Role: measure.Reference, Make: ours},
//		{Group: "Primary", Name: "another library", Make: theirs},
//	}, measure.Options{})
package measure

import (
	"slices"
	"time"
)

// Role says whether other cases of a group are compared with this one.
type Role uint8

const (
	// Plain cases are compared with the floor and the reference.
	Plain Role = iota
	// Floor marks a case whose work every case of the group includes. The time of the
	// first floor of a group is its unit.
	Floor
	// Reference marks the code under test. The time of the first reference of a group
	// is the second unit.
	Reference
)

func (r Role) String() string { return [...]string{"", "floor", "reference"}[r] }

// Case is an operation to time.
type Case struct {
	// Group is the heading of the case. Run measures and compares the cases of a group
	// together, and groups one after the other.
	Group string
	// Name is unique in the group.
	Name string
	Role Role
	// Make prepares the case and returns a function that does n operations.
	// Run calls it once for each goroutine, before the group's first sample.
	Make func() (run func(n int), err error)
	// Step divides every n that the function gets. It is the size of a batch where an
	// operation is one key of the batch. Zero means 1.
	Step int
	// Goroutines is the number of goroutines that run the function at once. Zero means
	// 1.
	Goroutines int
	// Meanwhile, if set, runs in its own goroutine during each sample. It must return
	// when the channel is closed.
	Meanwhile func(done <-chan struct{})
	// Untimed, if set, counts the time that the function spent on work that is not part
	// of the operation. Run subtracts it.
	Untimed *time.Duration
}

func (c Case) step() int       { return max(c.Step, 1) }
func (c Case) goroutines() int { return max(c.Goroutines, 1) }

// prepare calls Make for each goroutine.
func (c Case) prepare() ([]func(n int), error) {
	runs := make([]func(int), c.goroutines())
	for i := range runs {
		var err error
		if runs[i], err = c.Make(); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// Result holds one sample of a case for each round.
type Result struct {
	// Case has no Make and no Meanwhile, so that a result does not keep the measured
	// objects in memory.
	Case Case
	// N is the number of operations of a sample, of all goroutines together.
	N int
	// Times are nanoseconds for each operation: the length of the sample divided by N.
	// So two goroutines that do twice the work of one in the same time have half the
	// figure.
	Times []float64
	// ToFloor and ToReference are Times divided by the times of the group's floor and
	// reference in the same round. They are nil in a group without one.
	ToFloor, ToReference []float64
	// Allocs and Bytes are the allocations of an operation, as the median over rounds.
	// They include those of the rest of the process.
	Allocs, Bytes float64
}

// Spread is the median of samples and the quartiles around it.
type Spread struct{ Median, Low, High float64 }

// Time is the spread of Times, in nanoseconds for each operation.
func (r Result) Time() Spread { return SpreadOf(r.Times) }

// SpreadOf returns the spread of samples; zero for none.
func SpreadOf(samples []float64) Spread {
	if len(samples) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	at := func(part float64) float64 { // interpolated between two samples
		i := int(part * float64(len(sorted)-1))
		next := sorted[min(i+1, len(sorted)-1)]
		return sorted[i] + (part*float64(len(sorted)-1)-float64(i))*(next-sorted[i])
	}
	return Spread{Median: at(0.5), Low: at(0.25), High: at(0.75)}
}

// ratios returns the ratios of two cases, round by round.
func ratios(times, unit []float64) []float64 {
	all := make([]float64, len(times))
	for i := range times {
		all[i] = times[i] / unit[i]
	}
	return all
}

// groupsOf splits a list by group, in the order of first appearance.
func groupsOf[T any](list []T, group func(T) string) [][]T {
	var groups [][]T
	at := make(map[string]int)
	for _, v := range list {
		i, known := at[group(v)]
		if !known {
			i = len(groups)
			at[group(v)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], v)
	}
	return groups
}

func groupOf(r Result) string { return r.Case.Group }
