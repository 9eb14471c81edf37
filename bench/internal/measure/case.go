package measure

import "slices"

// Role is what a case is to the others of its group.
type Role uint8

const (
	// Plain cases are compared with the floor and the reference.
	Plain Role = iota
	// Floor is what the group's work cannot be done without: its time is the
	// unit. A group has one at most.
	Floor
	// Reference is the case that the plain ones are weighed against. A group
	// has one at most.
	Reference
)

// Case is something to time.
type Case struct {
	// Group is the heading that the case stands under. Cases of one group
	// are measured in turns, and compared; groups follow each other, so that
	// what one has built does not burden the next.
	Group string
	// Name is unique in the group.
	Name string
	// Role is what the case is to its group.
	Role Role
	// Make builds what the case works on and returns a function that does n
	// operations. It is called once for each goroutine, before the group's
	// first sample. What it built is let go after the group's last.
	Make func() (run func(n int), err error)
	// Step divides every n that the function is called with: the size of a
	// batch when an operation is one key of it. Zero means 1.
	Step int
	// Goroutines is how many run it at once. Zero means 1.
	Goroutines int
	// Meanwhile, when set, runs in a goroutine of its own for the length of
	// every sample, until the channel is closed.
	Meanwhile func(done <-chan struct{})
}

func (c Case) step() int       { return max(c.Step, 1) }
func (c Case) goroutines() int { return max(c.Goroutines, 1) }

// Result is what came of a case: a sample for each round.
type Result struct {
	// Case is the case, without Make and Meanwhile, so that a result does
	// not keep in memory what was measured.
	Case Case
	// N is how many operations a sample has, of all goroutines together.
	N int
	// Times are nanoseconds an operation: how long the sample took, divided
	// by N, so that two goroutines that do twice the work of one in the same
	// time have half its figure.
	Times []float64
	// ToFloor and ToReference are the times over those of the group's floor
	// and reference in the same round; nil where the group has none.
	ToFloor, ToReference []float64
	// Allocs and Bytes are what an operation allocates, the median over
	// rounds. What else the process does in the meantime counts too.
	Allocs, Bytes float64
}

// Spread is the median of samples, and the quartiles around it.
type Spread struct{ Median, Low, High float64 }

// Time is the spread of [Result.Times], in nanoseconds an operation.
func (r Result) Time() Spread { return SpreadOf(r.Times) }

// Floors is the spread of [Result.ToFloor]; zero where the group has no floor.
func (r Result) Floors() Spread { return SpreadOf(r.ToFloor) }

// References is the spread of [Result.ToReference]; zero where the group has no
// reference.
func (r Result) References() Spread { return SpreadOf(r.ToReference) }

// SpreadOf returns the spread of samples; zero for none.
func SpreadOf(samples []float64) Spread {
	if len(samples) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	return Spread{Median: quantile(sorted, 0.5), Low: quantile(sorted, 0.25), High: quantile(sorted, 0.75)}
}

// quantile interpolates between the two samples that lie around it.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Groups splits results by group, in the order in which they come.
func Groups(results []Result) [][]Result {
	var groups [][]Result
	for i, r := range results {
		if i == 0 || results[i-1].Case.Group != r.Case.Group {
			groups = append(groups, nil)
		}
		last := &groups[len(groups)-1]
		*last = append(*last, r)
	}
	return groups
}

// Best returns the fastest of the plain cases of a group, and whether there is
// one.
func Best(group []Result) (best Result, ok bool) {
	for _, r := range group {
		if r.Case.Role == Plain && (!ok || r.Time().Median < best.Time().Median) {
			best, ok = r, true
		}
	}
	return best, ok
}

// holder returns the position of the case that has a role, -1 for none.
func holder(cases []Case, role Role) int {
	return slices.IndexFunc(cases, func(c Case) bool { return c.Role == role })
}
