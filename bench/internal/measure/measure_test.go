package measure

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// fake is a clock that moves when work is done on it, and the order of that
// work.
type fake struct {
	now   time.Duration
	order []string
	calls map[string]int
}

func newFake() *fake { return &fake{calls: make(map[string]int)} }

// does returns a case whose operations take as long as cost says, in its i-th
// call from zero on.
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

func TestTimesAndRatios(t *testing.T) {
	f := newFake()
	results := f.run(t, 5,
		f.does("g", "hash", Floor, always(4)),
		f.does("g", "ours", Reference, always(6)),
		f.does("g", "theirs", Plain, always(60)),
		f.does("h", "alone", Plain, always(time.Millisecond)),
	)
	require.Len(t, results, 4)
	for i, want := range []float64{4, 6, 60, 1e6} {
		require.InDelta(t, want, results[i].Time().Median, 1e-9)
		require.Len(t, results[i].Times, 5)
	}
	require.InDelta(t, 1.5, results[1].Floors().Median, 1e-9)
	require.InDelta(t, 15, results[2].Floors().Median, 1e-9)
	require.InDelta(t, 10, results[2].References().Median, 1e-9)
	require.Nil(t, results[3].ToFloor)
	require.Equal(t, 250, results[0].N, "as many operations as fill a sample")
	require.Equal(t, 1, results[3].N, "one that is longer than a sample")

	best, ok := Best(Groups(results)[0])
	require.True(t, ok)
	require.Equal(t, "theirs", best.Case.Name)
	require.Contains(t, Verdict(Groups(results)[0]), "theirs, takes 10.0 times as long as ours")
	require.Empty(t, Verdict(Groups(results)[1]))
}

// What slows the machine down for a while falls on all cases of a round, and the
// ratio does not see it.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	f := newFake()
	slow := func(cost time.Duration) func(int) time.Duration {
		return func(call int) time.Duration { return cost * time.Duration(1+call%3) }
	}
	results := f.run(t, 30, f.does("g", "a", Floor, slow(1000)), f.does("g", "b", Plain, slow(2000)))
	require.InDelta(t, 2, results[1].Floors().Low, 1e-9)
	require.InDelta(t, 2, results[1].Floors().High, 1e-9)
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

func TestStepsAndGoroutines(t *testing.T) {
	var now, odd atomic.Int64
	c := Case{Group: "g", Name: "batch", Step: 1000, Goroutines: 2, Make: func() (func(int), error) {
		return func(n int) {
			now.Add(int64(n))
			odd.Add(int64(n % 1000))
		}, nil
	}}
	results, err := Run(t.Context(), []Case{c}, Options{Rounds: 3, Sample: 10_500, Now: func() time.Duration { return time.Duration(now.Load()) }})
	require.NoError(t, err)
	require.Zero(t, odd.Load(), "whole steps only")
	require.Equal(t, 12_000, results[0].N, "six steps each, the least that fill a sample")
	require.InDelta(t, 1, results[0].Time().Median, 1e-12, "the operations of both count")
}

func TestMeanwhile(t *testing.T) {
	begun, ended := 0, 0
	c := Case{Group: "g", Name: "a",
		Make: func() (func(int), error) { return func(int) {}, nil },
		Meanwhile: func(done <-chan struct{}) {
			begun++
			<-done
			ended++
		}}
	_, err := Run(t.Context(), []Case{c}, Options{Rounds: 3, Sample: 1})
	require.NoError(t, err)
	require.GreaterOrEqual(t, begun, 3)
	require.Equal(t, begun, ended, "none outlives its sample")
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
	results, err := Run(t.Context(), []Case{{Group: "g", Name: "a", Make: allocates}}, Options{Rounds: 5, Sample: 100 * time.Microsecond})
	require.NoError(t, err)
	require.NotNil(t, sink)
	require.InDelta(t, 1, results[0].Allocs, 0.5)
	require.InDelta(t, 4096, results[0].Bytes, 2048)
}

func TestRunRefuses(t *testing.T) {
	broken := errors.New("no peer")
	nothing := func() (func(int), error) { return func(int) {}, nil }
	for want, cases := range map[string][]Case{
		`measure: group "g" has two cases called "a"`:               {{Group: "g", Name: "a"}, {Group: "g", Name: "a"}},
		`measure: group "g" has two cases of one role, "a" and "b"`: {{Group: "g", Name: "a", Role: Floor}, {Group: "g", Name: "b", Role: Floor}},
		`measure: the cases of group "g" do not stand together`:     {{Group: "g", Name: "a"}, {Group: "h", Name: "a"}, {Group: "g", Name: "b"}},
		`measure: preparing "a" of "g": no peer`:                    {{Group: "g", Name: "a", Make: func() (func(int), error) { return nil, broken }}},
	} {
		_, err := Run(t.Context(), cases, Options{Rounds: 1, Sample: 1})
		require.EqualError(t, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run(ctx, []Case{{Group: "g", Name: "a", Make: nothing}}, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestQuartiles(t *testing.T) {
	require.Equal(t, Spread{}, SpreadOf(nil))
	require.Equal(t, Spread{7, 7, 7}, SpreadOf([]float64{7}))
	require.Equal(t, Spread{Median: 3, Low: 2, High: 4}, SpreadOf([]float64{5, 1, 4, 2, 3}))
	require.Equal(t, Spread{Median: 2.5, Low: 1.75, High: 3.25}, SpreadOf([]float64{1, 2, 3, 4}))
}

// some are results of two groups, one with a floor.
func some(t *testing.T) []Result {
	f := newFake()
	return f.run(t, 3,
		f.does("Primary, hot", "hash alone", Floor, always(4)),
		f.does("Primary, hot", "ours", Reference, always(6)),
		f.does("Primary, hot", "theirs | <other>", Plain, always(6000)),
		f.does("Build", "full", Plain, always(1300*time.Microsecond)),
	)
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteTable(&out, some(t)))
	text := out.String()
	require.Contains(t, text, "PRIMARY, HOT")
	require.Regexp(t, `ours \(reference\) +6\.00 ns +6\.00–6\.00 +1\.50 +1\.50–1\.50 +1\.00`, text)
	require.Regexp(t, `theirs \| <other> +6\.00 µs +6\.00–6\.00 +1500 `, text)
	require.Regexp(t, `full +1\.30 ms +1\.30–1\.30 `, text)
	width := 0
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "quartiles") && !strings.Contains(line, "–") || strings.Contains(line, "full") {
			continue
		}
		if width == 0 && strings.Contains(line, "/floor") {
			width = utf8.RuneCountInString(line)
		}
		if width > 0 && strings.Contains(line, "–") {
			require.Equal(t, width, utf8.RuneCountInString(line), line)
		}
	}
	require.NotZero(t, width)
}

func TestMarkdown(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteMarkdown(&out, some(t), 3))
	bars := 0
	for line := range strings.Lines(out.String()) {
		switch {
		case strings.HasPrefix(line, "###"):
			bars = 0
		case strings.HasPrefix(line, "|"):
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if bars == 0 {
				bars = n
			}
			require.Equal(t, bars, n, line)
		}
	}
	require.Contains(t, out.String(), "### Primary, hot\n\n| ")
	require.Contains(t, out.String(), `theirs \| <other>`)
}

func TestCSV(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteCSV(&out, some(t)))
	records, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+4)
	require.Equal(t, []string{"group", "case", "role", "goroutines", "rounds", "operations_a_round", "ns_median"}, records[0][:7])
	require.Equal(t, []string{"Primary, hot", "ours", "reference", "1", "3"}, records[2][:5])
	require.Equal(t, "6.0000", records[2][6])
	require.Equal(t, "1.5000", records[2][9])
	require.Empty(t, records[4][9], "no floor, no ratio")
}

func TestBenchstat(t *testing.T) {
	var out bytes.Buffer
	m := Machine{CPU: "Some CPU", OS: "linux", Arch: "amd64", Go: "go1.26", Cores: 2, Procs: 2}
	require.NoError(t, WriteBenchstat(&out, m, "example.org/p", some(t)))
	text := out.String()
	require.Contains(t, text, "goos: linux\ngoarch: amd64\npkg: example.org/p\ncpu: Some CPU\n")
	require.Equal(t, 3, strings.Count(text, "BenchmarkPrimary,_hot/Ours-2 "), "a line a round")
	require.Regexp(t, `(?m)^BenchmarkPrimary,_hot/Hash_alone-2 250 4 ns/op \d+ B/op \d+ allocs/op$`, text)
}

func TestBenchstatTakesMediansOfManyRounds(t *testing.T) {
	r := Result{Case: Case{Group: "g", Name: "a"}, N: 10}
	for i := range 60 {
		r.Times = append(r.Times, float64(i))
	}
	var out bytes.Buffer
	require.NoError(t, WriteBenchstat(&out, Machine{Procs: 1}, "p", []Result{r}))
	require.Equal(t, benchstatLines, strings.Count(out.String(), "BenchmarkG/A "))
	require.Contains(t, out.String(), "BenchmarkG/A 10 1.5 ns/op", "of the rounds 0 to 3")
	require.Contains(t, out.String(), "BenchmarkG/A 10 57.5 ns/op", "of the last four")
}

func TestSVG(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteSVG(&out, "Lookups", "over <the> floor", some(t)))
	d, tooltips := xml.NewDecoder(bytes.NewReader(out.Bytes())), 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "title" {
			tooltips++
		}
	}
	require.Equal(t, 1+3, tooltips, "the picture's, and one for each case that has a floor")
	require.NotContains(t, out.String(), "NaN")
	require.NoError(t, WriteSVG(io.Discard, "Nothing", "", nil))
}

func TestMachine(t *testing.T) {
	require.Equal(t, "AMD EPYC", processor("processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n"))
	require.Empty(t, processor("processor: 0\n"))
	m := ThisMachine()
	require.Positive(t, m.Cores)
	require.Contains(t, m.String(), fmt.Sprintf("%d cores", m.Cores))
	require.Contains(t, Machine{}.String(), "unknown processor")
}

func TestNumbersInThreeDigits(t *testing.T) {
	for want, ns := range map[string]float64{"3.06 ns": 3.06, "45.3 ns": 45.3, "100 ns": 99.96, "1.27 µs": 1270, "1.30 ms": 1.3e6, "2.00 s": 2e9} {
		require.Equal(t, want, Duration(ns))
	}
	for want, v := range map[string]float64{"0": 0.0001, "0.01": 0.01, "0.5": 0.5, "2": 2, "1037": 1037} {
		require.Equal(t, want, count(v))
	}
}

func TestTeller(t *testing.T) {
	var out bytes.Buffer
	teller := NewTeller(&out, 0)
	teller.Progress("a", 0, 10)
	teller.Progress("a", 5, 10)
	teller.Progress("b", 5, 10)
	teller.End()
	require.Equal(t, 3, strings.Count(out.String(), "\n"), "a line a task, and one at the end")
	require.Contains(t, out.String(), "50%")
}

func TestPages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	write := func(content string) { require.NoError(t, os.WriteFile(file, []byte(content), 0o600)) }
	write("a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n")
	require.NoError(t, UpdatePage(file, "y", []byte("new\n")))
	require.NoError(t, UpdatePage(file, "x", nil))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "a\n<!-- begin x -->\n<!-- end x -->\nb\n<!-- begin y -->\nnew\n<!-- end y -->\n", string(content))

	for _, bad := range []string{"", "<!-- begin x -->\n", "<!-- end x -->\n<!-- begin x -->\n", "<!-- begin x -->\n<!-- end x -->\n<!-- end x -->\n"} {
		write(bad)
		require.ErrorContains(t, UpdatePage(file, "x", []byte("new")), "once each, in this order")
		require.Error(t, CheckPage(file, "x"))
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, bad, string(content))
	}
}
