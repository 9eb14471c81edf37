package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// strategies are all built-in ones, with their defaults.
var strategies = []ring.RebalanceStrategy{
	rebalance.Balanced{},
	rebalance.Rendezvous{},
	rebalance.ConsistentHash{},
	rebalance.RoundRobin{},
}

// Seeds, and the most members that leave one by one, in a full and a quick run.
const (
	fullSeeds, fullLeaves   = 10, 100
	quickSeeds, quickLeaves = 3, 10
	largeLeaves             = 5 // in a cluster of more than fullLeaves
	maxSeeds                = 1000
)

const placementUsage = `Measures what every built-in strategy makes of members, partitions and zones.

Usage: bench placement [flags]

`

// placementOptions is what the command line asks for.
type placementOptions struct {
	quick      bool
	seeds      int
	strategies []ring.RebalanceStrategy
	csv, svg   string // file names; empty for none
}

// runPlacement is the subcommand.
func runPlacement(args []string, out, progress io.Writer) error {
	o, err := parsePlacement(args, out)
	if err != nil {
		return err
	}
	return o.run(layouts, out, progress)
}

// parsePlacement reads the flags. Help goes to out.
func parsePlacement(args []string, out io.Writer) (placementOptions, error) {
	var o placementOptions
	var names string
	flags := flag.NewFlagSet("placement", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.quick, "quick", false, "a look in seconds: fewer layouts, seeds and leaves")
	flags.IntVar(&o.seeds, "seeds", 0, fmt.Sprintf("measure seeds 1 to `n`, from which member IDs are derived; at most %d (default %d, with -quick %d)", maxSeeds, fullSeeds, quickSeeds))
	flags.StringVar(&names, "strategies", "", "a comma-separated `list` of "+strings.Join(labels(strategies), ", ")+" (default all)")
	flags.StringVar(&o.csv, "csv", "", "also write every figure to this `file`")
	flags.StringVar(&o.svg, "svg", "", "also draw balance against movement into this `file`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = io.WriteString(out, placementUsage)
		flags.PrintDefaults()
		return o, err
	case err != nil:
		return o, &usageError{err.Error() + ", see placement -h"}
	case flags.NArg() > 0:
		return o, &usageError{fmt.Sprintf("unexpected argument %q, see placement -h", flags.Arg(0))}
	}
	seedsGiven := false
	flags.Visit(func(f *flag.Flag) { seedsGiven = seedsGiven || f.Name == "seeds" })
	switch {
	case seedsGiven && (o.seeds < 1 || o.seeds > maxSeeds):
		return o, &usageError{fmt.Sprintf("-seeds is %d, it must be 1 to %d", o.seeds, maxSeeds)}
	case !seedsGiven && o.quick:
		o.seeds = quickSeeds
	case !seedsGiven:
		o.seeds = fullSeeds
	}
	var err error
	o.strategies, err = choose(names)
	return o, err
}

// choose returns the strategies of a comma-separated list, all for none.
func choose(names string) ([]ring.RebalanceStrategy, error) {
	if names == "" {
		return strategies, nil
	}
	var chosen []ring.RebalanceStrategy
	for name := range strings.SplitSeq(names, ",") {
		i := slices.Index(labels(strategies), strings.TrimSpace(name))
		if i < 0 {
			return nil, &usageError{fmt.Sprintf("-strategies: no strategy is called %q, there are %s", name, strings.Join(labels(strategies), ", "))}
		}
		if !slices.Contains(chosen, strategies[i]) {
			chosen = append(chosen, strategies[i])
		}
	}
	return chosen, nil
}

// label is a strategy's name without version and parameters.
func label(s ring.RebalanceStrategy) string {
	name, _, _ := strings.Cut(s.Name(), "/")
	return name
}

func labels(all []ring.RebalanceStrategy) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = label(s)
	}
	return names
}

// run measures, prints the table and writes the files. It creates these first,
// so that a name that cannot be written to is known before the wait.
func (o placementOptions) run(all []layout, out, progress io.Writer) error {
	if err := measure.Touch(o.csv, o.svg); err != nil {
		return err
	}
	results, err := o.measure(all, progress)
	if err != nil {
		return err
	}
	if err := writeTable(out, results, o.leaves); err != nil {
		return err
	}
	if err := writeFile(o.csv, results, writeCSV); err != nil {
		return err
	}
	return writeFile(o.svg, results, writeSVG)
}

// measure takes the figures of every strategy on every layout, by layout.
func (o placementOptions) measure(all []layout, progress io.Writer) ([]figures, error) {
	if o.quick {
		all = slices.DeleteFunc(slices.Clone(all), func(l layout) bool { return !l.quick })
	}
	told := measure.NewTeller(progress, len(all)*len(o.strategies)*o.seeds)
	defer told.End()
	var results []figures
	for _, l := range all {
		for _, s := range o.strategies {
			told.Now(label(s) + " on " + l.String())
			f, err := figuresOf(s, l, o.seeds, o.leaves(l), told.Step)
			if err != nil {
				return nil, err
			}
			results = append(results, f)
		}
	}
	return results, nil
}

// leaves is how many members of a layout leave, one by one.
func (o placementOptions) leaves(l layout) int {
	switch size := l.size(); {
	case o.quick:
		return min(size, quickLeaves)
	case size > fullLeaves:
		return largeLeaves
	default:
		return size
	}
}

// writeFile writes the results to the file of a name, if there is one.
func writeFile(name string, results []figures, write func(io.Writer, []figures) error) error {
	if name == "" {
		return nil
	}
	var content bytes.Buffer
	if err := write(&content, results); err != nil {
		return err
	}
	return os.WriteFile(name, content.Bytes(), 0o644)
}
