package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Report is a command that measures cases, part by part, and prints tables.
type Report struct {
	// Name is the name of the command, and About the usage text above the flags.
	Name, About string
	// Title heads the output and the picture; Notes follow the heading.
	Title, Notes string
	// Rounds and QuickRounds are the numbers of samples of a case, without and with
	// -quick.
	Rounds, QuickRounds int
	// HoldCollector is [Options.HoldCollector].
	HoldCollector bool
	// Parts are the parts of the report.
	Parts func(quick bool) []Part
	// Drawn reports whether a result is drawn in the picture.
	Drawn func(Result) bool
}

// Part is a chapter of a report.
type Part struct {
	Name, Summary string
	// Cases makes the cases. It is called when the part begins.
	Cases func() ([]Case, error)
	// Rounds is the largest number of rounds; zero means no bound.
	Rounds int
	// Sample is the length of a sample; zero means the default of the report.
	Sample time.Duration
	// End, if set, releases the resources of the cases.
	End func()
}

// Parse parses flags, and refuses other arguments. It writes help to out, below a text
// about the command.
func Parse(flags *flag.FlagSet, args []string, about string, out io.Writer) error {
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = fmt.Fprintf(out, "%s\n\nUsage: %s [flags]\n\n", about, flags.Name())
		flags.PrintDefaults()
		return err
	case err != nil:
		return fmt.Errorf("%w, see -h", err)
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q, see -h", flags.Arg(0))
	}
	return nil
}

// Create creates a file before the measurement, so that a wrong name is reported early.
// For an empty name it returns a writer that discards.
func Create(name string) (io.WriteCloser, error) {
	if name == "" {
		return struct {
			io.Writer
			io.Closer
		}{io.Discard, io.NopCloser(nil)}, nil
	}
	return os.Create(name)
}

// Main runs the command with its arguments: it writes the report to out, and the name
// of each group to progress.
func (r Report) Main(ctx context.Context, args []string, out, progress io.Writer) error {
	var quick bool
	var only, svg, csv string
	o := Options{HoldCollector: r.HoldCollector}
	flags := flag.NewFlagSet(r.Name, flag.ContinueOnError)
	flags.BoolVar(&quick, "quick", false, fmt.Sprintf("a look in under a minute: %d rounds, and no large sizes where they take long", r.QuickRounds))
	flags.IntVar(&o.Rounds, "rounds", 0, fmt.Sprintf("how many `samples` each case has (default %d, with -quick %d)", r.Rounds, r.QuickRounds))
	flags.DurationVar(&o.Sample, "sample", DefaultSample, "how `long` a sample is")
	flags.StringVar(&only, "only", "", "only the tables whose \"part: title\" matches this `regexp`, such as ^caches")
	flags.StringVar(&csv, "csv", "", "also write every figure to this `file`")
	flags.StringVar(&svg, "svg", "", "also draw ratios to the floor into this `file`")
	var about strings.Builder
	for _, p := range r.Parts(true) {
		fmt.Fprintf(&about, "\n  %-12s %s", p.Name, p.Summary)
	}
	if err := Parse(flags, args, r.About+"\n\nParts:"+about.String(), out); err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	switch {
	case err != nil:
		return fmt.Errorf("-only is %q: %w", only, err)
	case o.Rounds < 0 || o.Sample <= 0:
		return fmt.Errorf("-rounds is %d and -sample is %v, both must be above zero", o.Rounds, o.Sample)
	case o.Rounds == 0 && quick:
		o.Rounds = r.QuickRounds
	case o.Rounds == 0:
		o.Rounds = r.Rounds
	}
	csvOut, err := Create(csv)
	if err != nil {
		return err
	}
	defer csvOut.Close()
	svgOut, err := Create(svg)
	if err != nil {
		return err
	}
	defer svgOut.Close()

	began, machine := time.Now(), Machine()
	o.Progress = func(group string) {
		_, _ = fmt.Fprintf(progress, "%5s  %s\n", time.Since(began).Round(time.Second), group)
	}
	if _, err := fmt.Fprintf(out, "# %s\n\n%s.\n%s\n", r.Title, machine, r.Notes); err != nil {
		return err
	}
	var all []Result
	for _, p := range r.Parts(quick) {
		own := o
		if own.Sample = max(o.Sample, p.Sample); p.Rounds > 0 {
			own.Rounds = min(o.Rounds, p.Rounds)
		}
		results, err := p.measure(ctx, wanted, own)
		if err != nil {
			return err
		}
		if len(results) > 0 {
			_, _ = fmt.Fprintf(out, "\n## %s: %s\n\n%d rounds of samples of %v.\n", p.Name, p.Summary, own.Rounds, own.Sample)
		}
		for _, t := range Tables(results) {
			if err := t.Write(out); err != nil {
				return err
			}
		}
		all = append(all, results...)
	}
	if len(all) == 0 {
		return fmt.Errorf("-only: no table matches %q, see -h", only)
	}
	_, _ = fmt.Fprintf(progress, "%5s  done\n", time.Since(began).Round(time.Second))
	drawn := slices.DeleteFunc(slices.Clone(all), func(result Result) bool { return !r.Drawn(result) })
	return errors.Join(WriteCSV(csvOut, columns(), all),
		WriteBars(svgOut, r.Title, "times the hash of the key alone, median and quartiles; "+machine, drawn))
}

// measure measures the wanted cases of the part.
func (p Part) measure(ctx context.Context, wanted *regexp.Regexp, o Options) ([]Result, error) {
	if p.End != nil {
		defer p.End()
	}
	cases, err := p.Cases()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	cases = slices.DeleteFunc(cases, func(c Case) bool { return !wanted.MatchString(p.Name + ": " + c.Group) })
	return Run(ctx, cases, o)
}
