package measure

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fake is a clock that advances with the work of cases, and the order of that work.
type fake struct {
	now   time.Duration
	order []string
	calls map[string]int
}

func newFake() *fake { return &fake{calls: make(map[string]int)} }

// does returns a case. Each operation of its i-th call takes cost(i).
func (f *fake) does(group, name string, role Role, cost func(call int) time.Duration) Case {
	return Case{Group: group, Name: name, Role: role, Make: func() (func(int), error) {
		return func(n int) {
			f.now += cost(f.calls[name]) * time.Duration(n)
			f.calls[name]++
			f.order = append(f.order, name)
		}, nil
	}}
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func (f *fake) run(t *testing.T, rounds int, cases ...Case) []Result {
	results, err := Run(t.Context(), cases, Options{Rounds: rounds, Sample: time.Microsecond, Now: func() time.Duration { return f.now }})
	require.NoError(t, err)
	return results
}

// some returns results of two groups. The first has two floors and a reference.
func some(t *testing.T) []Result {
	f := newFake()
	return f.run(t, 5,
		f.does("Primary, hot", "hash alone", Floor, always(4)),
		f.does("Primary, hot", "hash and load", Floor, always(5)),
		f.does("Primary, hot", "ours", Reference, always(6)),
		f.does("Primary, hot", "theirs, <other>", Plain, always(6000)),
		f.does("Build", "full", Plain, always(1300*time.Microsecond)),
	)
}

func TestTimesAndRatios(t *testing.T) {
	results := some(t)
	for i, want := range []float64{4, 5, 6, 6000, 1.3e6} {
		require.InDelta(t, want, results[i].Time().Median, 1e-9)
		require.Len(t, results[i].Times, 5)
	}
	require.InDelta(t, 1.25, SpreadOf(results[1].ToFloor).Median, 1e-9, "the first floor is the unit")
	require.InDelta(t, 1.5, SpreadOf(results[2].ToFloor).Median, 1e-9)
	require.InDelta(t, 1000, SpreadOf(results[3].ToReference).Median, 1e-9)
	require.Nil(t, results[4].ToFloor)
	require.Equal(t, 250, results[0].N, "as many operations as fill a sample")
	require.Equal(t, 1, results[4].N, "one operation that is longer than a sample")
}

// A slow phase of the machine affects all cases of a round, so ratios do not change.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	f := newFake()
	slow := func(cost time.Duration) func(int) time.Duration {
		return func(call int) time.Duration { return cost * time.Duration(1+call%3) }
	}
	results := f.run(t, 30, f.does("g", "a", Floor, slow(1000)), f.does("g", "b", Plain, slow(2000)))
	require.Equal(t, Spread{2, 2, 2}, SpreadOf(results[1].ToFloor))
	require.Greater(t, results[1].Time().High, results[1].Time().Low)
}

func TestCasesTakeTurns(t *testing.T) {
	f := newFake()
	var cases []Case
	for _, name := range []string{"a", "b", "c"} {
		cases = append(cases, f.does("g", name, Plain, always(time.Microsecond)))
	}
	f.run(t, 4, cases...)
	require.Equal(t, "aaabbbccc"+"abc"+"bca"+"cab"+"abc", strings.Join(f.order, ""), "to calibrate, then four rounds")
}

func TestStepsGoroutinesAndMeanwhile(t *testing.T) {
	var now, odd, begun, ended atomic.Int64
	c := Case{Group: "g", Name: "batch", Step: 1000, Goroutines: 2,
		Make: func() (func(int), error) {
			return func(n int) {
				now.Add(int64(n))
				odd.Add(int64(n % 1000))
			}, nil
		},
		Meanwhile: func(done <-chan struct{}) {
			begun.Add(1)
			<-done
			ended.Add(1)
		}}
	results, err := Run(t.Context(), []Case{c}, Options{Rounds: 3, Sample: 10_500, Now: func() time.Duration { return time.Duration(now.Load()) }})
	require.NoError(t, err)
	require.Zero(t, odd.Load(), "whole steps only")
	require.Equal(t, 12_000, results[0].N, "six steps each, the least that fill a sample")
	require.InDelta(t, 1, results[0].Time().Median, 1e-12, "the operations of both count")
	require.GreaterOrEqual(t, begun.Load(), int64(3))
	require.Equal(t, begun.Load(), ended.Load(), "none outlives its sample")
}

func TestUntimedWorkDoesNotCount(t *testing.T) {
	var now, untimed time.Duration
	c := Case{Group: "g", Name: "join", Untimed: &untimed, Make: func() (func(int), error) {
		return func(n int) {
			now += 1000 * time.Duration(n)
			untimed += 900 * time.Duration(n)
		}, nil
	}}
	results, err := Run(t.Context(), []Case{c}, Options{Rounds: 3, Sample: time.Microsecond, Now: func() time.Duration { return now }})
	require.NoError(t, err)
	require.InDelta(t, 100, results[0].Time().Median, 1e-9)
}

func TestAllocationsAreCounted(t *testing.T) {
	var sink []byte
	allocates := func() (func(int), error) {
		return func(n int) {
			for range n {
				sink = make([]byte, 4096)
			}
		}, nil
	}
	results, err := Run(t.Context(), []Case{{Group: "g", Name: "a", Make: allocates}}, Options{Rounds: 5, Sample: 100 * time.Microsecond, HoldCollector: true})
	require.NoError(t, err)
	require.NotNil(t, sink)
	require.InDelta(t, 1, results[0].Allocs, 0.5)
	require.InDelta(t, 4096, results[0].Bytes, 2048)
}

func TestRunRefuses(t *testing.T) {
	_, err := Run(t.Context(), []Case{{Group: "g", Name: "a", Make: func() (func(int), error) { return nil, errors.New("no peer") }}}, Options{})
	require.EqualError(t, err, `measure: preparing "a" of "g": no peer`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Run(ctx, []Case{newFake().does("g", "a", Plain, always(1))}, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestQuartiles(t *testing.T) {
	require.Equal(t, Spread{}, SpreadOf(nil))
	require.Equal(t, Spread{7, 7, 7}, SpreadOf([]float64{7}))
	require.Equal(t, Spread{Median: 3, Low: 2, High: 4}, SpreadOf([]float64{5, 1, 4, 2, 3}))
	require.Equal(t, Spread{Median: 2.5, Low: 1.75, High: 3.25}, SpreadOf([]float64{1, 2, 3, 4}))
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	for _, table := range Tables(some(t)) {
		require.NoError(t, table.Write(&out))
	}
	require.Contains(t, out.String(), "\n### Primary, hot\n\n|                       |    time | quartiles | /floor | quartiles | /reference | allocs | bytes |\n| ---                   |    ---: |")
	require.Regexp(t, `\n\| ours \(reference\) +\| 6\.00 ns \| 6\.00–6\.00 \| +1\.50 \| 1\.50–1\.50 \| +1\.00 \|`, out.String())
	require.Regexp(t, `\n\| theirs, <other> +\| 6\.00 µs \| 6\.00–6\.00 \| +1500 \|`, out.String())
	require.Regexp(t, `\n\| full +\| 1\.30 ms \| 1\.30–1\.30 \|`, out.String())
}

func TestCSV(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteCSV(&out, columns(), some(t)))
	records, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+5)
	require.Equal(t, []string{"group", "case", "role", "goroutines", "rounds", "operations_a_round", "ns_median"}, records[0][:7])
	require.Equal(t, []string{"Primary, hot", "ours", "reference", "1", "5"}, records[3][:5])
	require.Equal(t, []string{"6.0000", "1.5000"}, []string{records[3][6], records[3][9]})
	require.Empty(t, records[5][9], "no floor, no ratio")
}

func TestPictures(t *testing.T) {
	for _, picture := range []struct {
		write func(io.Writer) error
		marks int
	}{
		{func(out io.Writer) error { return WriteBars(out, "Lookups", "over <the> floor", some(t)) }, 4},
		{func(out io.Writer) error { return WriteBars(out, "Nothing", "", nil) }, 0},
		{Scatter{Series: []string{"a", "b"}, Points: []Point{{1, 1, "a", "x", "<1>"}, {1.5, 90, "b", "y", "2"}}}.Write, 2 + 2 + 2},
	} {
		var out bytes.Buffer
		require.NoError(t, picture.write(&out))
		require.NoError(t, xml.Unmarshal(out.Bytes(), new(struct{})))
		require.Equal(t, 1+picture.marks, strings.Count(out.String(), "<title"), "the picture's, and one a mark")
		require.NotContains(t, out.String(), "NaN")
	}
}

func TestNumbersInThreeDigits(t *testing.T) {
	for want, ns := range map[string]float64{"3.06 ns": 3.06, "45.3 ns": 45.3, "100 ns": 99.96, "1.27 µs": 1270, "1.30 ms": 1.3e6, "2.00 s": 2e9} {
		require.Equal(t, want, Duration(ns))
	}
	for want, v := range map[string]float64{"0": 0.0001, "0.01": 0.01, "0.5": 0.5, "2": 2, "1037": 1037} {
		require.Equal(t, want, count(v))
	}
}

// The flag -only selects tables by part and title, and a part ends after its cases.
func TestReport(t *testing.T) {
	f, ended := newFake(), 0
	r := Report{Name: "r", Title: "Things", Rounds: 9, QuickRounds: 2, Drawn: func(Result) bool { return true }, Parts: func(bool) []Part {
		part := func(name string) Part {
			return Part{Name: name, Summary: "of " + name, End: func() { ended++ }, Cases: func() ([]Case, error) {
				return []Case{f.does("Group "+name, "case "+name, Floor, always(time.Millisecond))}, nil
			}}
		}
		return []Part{part("first"), part("second")}
	}}
	var out bytes.Buffer
	require.NoError(t, r.Main(t.Context(), []string{"-quick", "-sample", "1ns", "-only", "^second: Gr"}, &out, io.Discard))
	require.Contains(t, out.String(), "# Things\n\n")
	require.Contains(t, out.String(), "\n## second: of second\n\n2 rounds of samples of 1ns.\n\n### Group second\n")
	require.NotContains(t, out.String(), "first")
	require.Equal(t, 2, ended)
	for args, message := range map[string]string{
		"-only third": `-only: no table matches "third", see -h`,
		"-only (":     "-only is \"(\": error parsing regexp: missing closing ): `(`",
		"-rounds -1":  "-rounds is -1 and -sample is 2ms, both must be above zero",
		"more":        `unexpected argument "more", see -h`,
	} {
		require.EqualError(t, r.Main(t.Context(), strings.Fields(args), io.Discard, io.Discard), message)
	}
}
