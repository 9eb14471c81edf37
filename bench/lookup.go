package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// chapter is a part of the report that can be asked for by itself.
type chapter struct {
	name, summary string
	// cases are what it times. They are made before anything is measured.
	cases func(*fixture) []measure.Case
	// tables tell the results; nil means a table for each group.
	tables func([]measure.Result) []measure.Table
	// more measures what no case can, in so many steps.
	more   func(f *fixture, o lookupOptions, step func()) ([]measure.Table, error)
	steps  func(lookupOptions) int
	long   bool // samples are long
	rounds int  // at most; zero for no bound
}

// chapters are all parts, in the order of the report.
var chapters = []chapter{
	{name: "cluster", summary: "the calls of package cluster, and HTTP", cases: func(f *fixture) []measure.Case {
		return append(clusterCases(f), httpCases(f)...)
	}},
	{name: "keys", summary: "strings and bytes, short and long, hot and cold", cases: keyCases},
	{name: "growth", summary: "more members, partitions and replicas", cases: growthCases},
	{name: "batches", summary: "keys sorted by owner, in one call and one by one", cases: batchCases},
	{name: "caches", summary: "whether a cache of keys could be faster", cases: cacheCases},
	{
		name: "goroutines", summary: "throughput on one and on several processors, and the reader's longest pause",
		cases: scaleCases, long: true, rounds: 51,
		tables: func(results []measure.Result) []measure.Table { return []measure.Table{scaleTable(results)} },
		steps:  func(o lookupOptions) int { return 3 * o.stallRuns },
		more: func(_ *fixture, o lookupOptions, step func()) ([]measure.Table, error) {
			kinds, err := measureStalls(o.stallRuns, o.stallLength, step)
			if err != nil {
				return nil, err
			}
			return []measure.Table{stallTable(kinds)}, nil
		},
	},
	{
		name: "rings", summary: "building rings, plans, and the memory they take", cases: buildCases, rounds: 11,
		more: func(f *fixture, _ lookupOptions, _ func()) ([]measure.Table, error) {
			t, err := memoryTable(f.memory)
			return []measure.Table{t}, err
		},
	},
}

const lookupUsage = `Measures how long it takes to say who owns a key, and what else a member computes.
Cases take turns in short samples. Figures are medians with quartiles; ratios are
taken within each round, to the hash of the key alone unless something else is
called the floor.

Usage: bench lookup [flags]

`

// lookupOptions is what the command line asks for.
type lookupOptions struct {
	quick     bool
	only      []string // names of chapters; none for all
	csv, svg  string   // file names; empty for none
	benchstat string
	markdown  string

	rounds      int
	sample      time.Duration
	longSample  time.Duration // of parts that ask for it
	stallRuns   int
	stallLength time.Duration
}

// runLookup is the subcommand.
func runLookup(args []string, out, progress io.Writer) error {
	o, err := parseLookup(args, out)
	if err != nil {
		return err
	}
	return o.run(newFixture(context.Background(), usualSizes(o.quick)), out, progress)
}

// parseLookup reads the flags. Help goes to out.
func parseLookup(args []string, out io.Writer) (lookupOptions, error) {
	o := lookupOptions{rounds: measure.DefaultRounds, sample: measure.DefaultSample, longSample: 20 * time.Millisecond, stallRuns: 9, stallLength: time.Second}
	var only string
	flags := flag.NewFlagSet("lookup", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.quick, "quick", false, "a look in under a minute: fewer samples, no large rings")
	flags.StringVar(&only, "only", "", "a comma-separated `list` of "+strings.Join(chapterNames(), ", ")+" (default all)")
	flags.StringVar(&o.csv, "csv", "", "also write every figure to this `file`")
	flags.StringVar(&o.svg, "svg", "", "also draw the ratios to the floor into this `file`")
	flags.StringVar(&o.benchstat, "benchstat", "", "also write the samples to this `file`, as benchstat reads them")
	flags.StringVar(&o.markdown, "markdown", "", "also put the tables into this `file`, those of each part between the lines <!-- begin lookup part --> and <!-- end lookup part -->")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = io.WriteString(out, lookupUsage)
		flags.PrintDefaults()
		_, _ = io.WriteString(out, "\nParts for -only:\n")
		for _, c := range chapters {
			_, _ = fmt.Fprintf(out, "  %-12s %s\n", c.name, c.summary)
		}
		return o, err
	case err != nil:
		return o, &usageError{err.Error() + ", see lookup -h"}
	case flags.NArg() > 0:
		return o, &usageError{fmt.Sprintf("unexpected argument %q, see lookup -h", flags.Arg(0))}
	}
	if only != "" {
		for name := range strings.SplitSeq(only, ",") {
			name = strings.TrimSpace(name)
			if !slices.Contains(chapterNames(), name) {
				return o, &usageError{fmt.Sprintf("-only: no part is called %q, there are %s", name, strings.Join(chapterNames(), ", "))}
			}
			o.only = append(o.only, name)
		}
	}
	if o.quick {
		o.rounds, o.stallRuns, o.stallLength = 15, 5, 200*time.Millisecond
	}
	return o, nil
}

func chapterNames() []string {
	names := make([]string, len(chapters))
	for i, c := range chapters {
		names[i] = c.name
	}
	return names
}

// run measures, prints the tables and writes the files. It opens these first, so
// that a name that cannot be written to is known before the wait.
func (o lookupOptions) run(f *fixture, out, progress io.Writer) error {
	defer f.stop()
	if err := measure.Touch(o.csv, o.svg, o.benchstat); err != nil {
		return err
	}
	for _, c := range chapters {
		if o.markdown != "" && o.asks(c) {
			if err := measure.CheckPage(o.markdown, c.mark()); err != nil {
				return err
			}
		}
	}
	machine := measure.ThisMachine()
	if _, err := fmt.Fprintf(out, "Lookups on %s.\n%d rounds of samples of %v.\n", machine, o.rounds, o.sample); err != nil {
		return err
	}
	var results []measure.Result
	told := newLookupProgress(o, f, progress)
	defer told.teller.End()
	for i, c := range chapters {
		if !o.asks(c) {
			continue
		}
		some, tables, err := o.measure(f, c, told.cases[i], told)
		if err != nil {
			return err
		}
		f.stop()
		told.teller.Clear()
		for _, t := range tables {
			if err := t.Write(out); err != nil {
				return err
			}
		}
		if err := o.writePage(c, machine, tables); err != nil {
			return err
		}
		results = append(results, some...)
	}
	return o.write(machine, results)
}

// asks reports whether a chapter is asked for.
func (o lookupOptions) asks(c chapter) bool {
	return len(o.only) == 0 || slices.Contains(o.only, c.name)
}

// roundsOf is how many rounds a chapter has.
func (o lookupOptions) roundsOf(c chapter) int {
	if c.rounds > 0 {
		return min(o.rounds, c.rounds)
	}
	return o.rounds
}

// sampleOf is how long its samples are.
func (o lookupOptions) sampleOf(c chapter) time.Duration {
	if c.long {
		return o.longSample
	}
	return o.sample
}

// measure measures a chapter.
func (o lookupOptions) measure(f *fixture, c chapter, cases []measure.Case, told *lookupProgress) ([]measure.Result, []measure.Table, error) {
	results, err := measure.Run(context.Background(), cases, measure.Options{Rounds: o.roundsOf(c), Sample: o.sampleOf(c), Progress: told.progress})
	if err != nil {
		return nil, nil, err
	}
	told.done += len(cases) * o.roundsOf(c)
	tables := c.tables
	if tables == nil {
		tables = measure.Tables
	}
	all := tables(results)
	if c.more != nil {
		more, err := c.more(f, o, told.step)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, more...)
	}
	return results, all, nil
}

// lookupProgress counts the steps of all chapters together.
type lookupProgress struct {
	teller      *measure.Teller
	cases       [][]measure.Case // of each chapter
	done, total int              // of the chapters before this one, and of all
}

func newLookupProgress(o lookupOptions, f *fixture, out io.Writer) *lookupProgress {
	p := &lookupProgress{cases: make([][]measure.Case, len(chapters))}
	for i, c := range chapters {
		if o.asks(c) {
			p.cases[i] = c.cases(f)
			p.total += len(p.cases[i]) * o.roundsOf(c)
			if c.steps != nil {
				p.total += c.steps(o)
			}
		}
	}
	p.teller = measure.NewTeller(out, p.total)
	return p
}

func (p *lookupProgress) progress(group string, done, _ int) {
	p.teller.Progress(group, p.done+done, p.total)
}

func (p *lookupProgress) step() {
	p.done++
	p.progress("Pauses", 0, 0)
}

// writePage puts the tables of a chapter where the page wants them, if there is
// one.
func (o lookupOptions) writePage(c chapter, machine measure.Machine, tables []measure.Table) error {
	if o.markdown == "" {
		return nil
	}
	var text bytes.Buffer
	for _, t := range tables {
		if err := t.WriteMarkdown(&text, 3); err != nil {
			return err
		}
	}
	fmt.Fprintf(&text, "\n<sub>%s; %d rounds of samples of %v.</sub>\n\n", machine, o.roundsOf(c), o.sampleOf(c))
	return measure.UpdatePage(o.markdown, c.mark(), text.Bytes())
}

// mark is the name of a chapter's place on the page.
func (c chapter) mark() string { return "lookup " + c.name }

// write writes the files.
func (o lookupOptions) write(machine measure.Machine, results []measure.Result) error {
	const title = "Looking up a key"
	compared := slices.DeleteFunc(slices.Clone(results), func(r measure.Result) bool { return !drawn(r) })
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{o.csv, func(w io.Writer) error { return measure.WriteCSV(w, results) }},
		{o.svg, func(w io.Writer) error {
			return measure.WriteSVG(w, title, "times the hash of the key alone, median and quartiles; "+machine.String(), compared)
		}},
		{o.benchstat, func(w io.Writer) error {
			return measure.WriteBenchstat(w, machine, "github.com/clusterkit/clusterkit/bench", results)
		}},
	} {
		if file.name == "" {
			continue
		}
		var content bytes.Buffer
		if err := file.write(&content); err != nil {
			return err
		}
		if err := os.WriteFile(file.name, content.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// drawn reports whether a result is in the picture: the calls, the keys as
// strings, the batches and the caches say enough.
func drawn(r measure.Result) bool {
	switch kind, rest, _ := strings.Cut(r.Case.Group, " "); kind {
	case "Calls", "Batches:", "Caches:":
		return true
	case "Keys:":
		return strings.HasSuffix(rest, "strings")
	}
	return false
}
