package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

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

// The seeds, and the largest number of members that leave one by one, in a full and a
// quick run.
const (
	fullSeeds, fullLeaves   = 10, 100
	quickSeeds, quickLeaves = 3, 10
	largeLeaves             = 5 // in a cluster of more than fullLeaves members
	maxSeeds                = 1000
)

// placementOptions are the flags of the subcommand.
type placementOptions struct {
	quick      bool
	seeds      int
	strategies []ring.RebalanceStrategy
}

// runPlacement runs the subcommand on some layouts.
func runPlacement(args []string, all []layout, out, progress io.Writer) error {
	o := placementOptions{strategies: strategies}
	var names, csv, svg string
	flags := flag.NewFlagSet("placement", flag.ContinueOnError)
	flags.BoolVar(&o.quick, "quick", false, "a look in seconds: fewer layouts, seeds and leaves")
	flags.IntVar(&o.seeds, "seeds", 0, fmt.Sprintf("measure seeds 1 to `n`, from which member IDs are derived; at most %d (default %d, with -quick %d)", maxSeeds, fullSeeds, quickSeeds))
	flags.StringVar(&names, "strategies", "", "a comma-separated `list` of "+strings.Join(labels(strategies), ", ")+" (default all)")
	flags.StringVar(&csv, "csv", "", "also write every figure to this `file`")
	flags.StringVar(&svg, "svg", "", "also draw balance against movement into this `file`")
	if err := measure.Parse(flags, args, "Measures what every built-in strategy makes of members, partitions and zones.", out); err != nil {
		return err
	}
	switch {
	case o.seeds < 0 || o.seeds > maxSeeds:
		return fmt.Errorf("-seeds is %d, it must be 1 to %d", o.seeds, maxSeeds)
	case o.seeds == 0 && o.quick:
		o.seeds = quickSeeds
	case o.seeds == 0:
		o.seeds = fullSeeds
	}
	if names != "" {
		o.strategies = nil
		for name := range strings.SplitSeq(names, ",") {
			i := slices.Index(labels(strategies), strings.TrimSpace(name))
			if i < 0 {
				return fmt.Errorf("-strategies: no strategy is called %q, there are %s", name, strings.Join(labels(strategies), ", "))
			}
			o.strategies = append(o.strategies, strategies[i])
		}
	}
	csvOut, err := measure.Create(csv)
	if err != nil {
		return err
	}
	defer csvOut.Close()
	svgOut, err := measure.Create(svg)
	if err != nil {
		return err
	}
	defer svgOut.Close()
	results, err := o.measure(all, progress)
	if err != nil {
		return err
	}
	return errors.Join(o.print(out, results), printNumbered(out), measure.WriteCSV(csvOut, placementColumns(), results), drawn(results).Write(svgOut))
}

// label returns a strategy's name without version and parameters.
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

// measure measures the figures of every strategy on every layout, by layout.
func (o placementOptions) measure(all []layout, progress io.Writer) ([]figures, error) {
	began := time.Now()
	var results []figures
	for _, l := range all {
		if o.quick && !l.quick {
			continue
		}
		for _, s := range o.strategies {
			_, _ = fmt.Fprintf(progress, "%5s  %s on %s\n", time.Since(began).Round(time.Second), label(s), l)
			f, err := figuresOf(s, l, o.seeds, o.leaves(l))
			if err != nil {
				return nil, err
			}
			results = append(results, f)
		}
	}
	return results, nil
}

// leaves returns how many members of a layout leave, one by one.
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

const placementLegend = `# Placement

Member IDs are derived from the seeds 1 to %d. Pairs are the worst and the mean over
seeds and changes; single figures are the worst.

- replicas: the slots of the fullest member over the mean, per weight
- primaries: the same for the partitions that a member is primary of
- at best: what no strategy can be below while partitions span as many zones as they can
- join: slots that change owner, over the slots that the joiner ends up with
- leave: the same over the slots of the leaver; each member in turn
- several: of the partitions that a leave changes, those in which several owners change
- zone loss: the same over the slots of the zone; each zone in turn
- rolling: each member in turn leaves and comes back: over twice the slots of all of them
- zone span: partitions that span as many zones as they can, before and after every change
- peers: other owners of the partitions of a lost member, which take its load at once
- most on: the largest part of these partitions that one peer owns
- build: the median of %d builds on this machine, %s
`

// print prints a table for each layout.
func (o placementOptions) print(out io.Writer, results []figures) error {
	_, err := fmt.Fprintf(out, placementLegend, o.seeds, timedBuilds, measure.Machine())
	for some := range slices.Chunk(results, len(o.strategies)) {
		l := some[0].layout
		t := measure.Table{
			Title: l.family + ": " + l.String(),
			Head:  []string{"", "replicas", "primaries", "join", "leave", "several", "zone loss", "rolling", "zone span", "peers", "most on", "build"},
			Note:  fmt.Sprintf("replicas at best %.2f", l.atBest()),
		}
		if n := o.leaves(l); n < l.size() {
			t.Note += fmt.Sprintf("; %d members leave", n)
		}
		for _, f := range some {
			t.Rows = append(t.Rows, []string{
				label(f.strategy), f.replicas.pair(), f.primaries.pair(), f.join.pair(), f.leave.pair(), percent(f.several.most), f.zoneLoss.pair(), f.rolling.pair(),
				percent(f.spread.least), fmt.Sprintf("%.0f", f.peers.least), percent(f.peerShare.most), measure.Duration(float64(f.build)),
			})
		}
		err = errors.Join(err, t.Write(out))
	}
	return err
}

// pair formats the worst value and the mean.
func (s stat) pair() string {
	if s.count == 0 {
		return "-"
	}
	return measure.Digits(s.most) + " " + measure.Digits(s.mean())
}

// percent formats a share between 0 and 1. It shows only 1 as 100 %.
func percent(v float64) string {
	if v > 0.999 && v < 1 {
		return ">99.9 %"
	}
	return measure.Digits(100*v) + " %"
}

// placementColumns are the columns of the CSV file. The worst value of zone_spread and
// peers is the smallest, that of the others the largest. Ratios and shares are
// fractions. A figure that does not apply is empty.
func placementColumns() []measure.Column[figures] {
	type column = measure.Column[figures]
	all := []column{
		{Name: "family", Value: func(f figures) string { return f.layout.family }},
		{Name: "zones", Value: func(f figures) string { return slashed(f.layout.zones) }},
		{Name: "regions", Value: func(f figures) string { return strconv.Itoa(max(f.layout.regions, 1)) }},
		{Name: "weights", Value: func(f figures) string { return slashed(f.layout.weights) }},
		{Name: "members", Value: func(f figures) string { return strconv.Itoa(f.layout.size()) }},
		{Name: "partitions", Value: func(f figures) string { return strconv.Itoa(f.layout.partitions) }},
		{Name: "replicas", Value: func(f figures) string { return strconv.Itoa(f.layout.replicas) }},
		{Name: "strategy", Value: func(f figures) string { return f.strategy.Name() }},
		{Name: "seeds", Value: func(f figures) string { return strconv.Itoa(f.seeds) }},
		{Name: "replicas_max_over_mean_at_best", Value: func(f figures) string { return measure.Decimal(f.layout.atBest()) }},
	}
	most, least := func(s stat) float64 { return s.most }, func(s stat) float64 { return s.least }
	for _, c := range []struct {
		name  string
		of    func(figures) stat
		worst func(stat) float64
	}{
		{"replicas_max_over_mean", func(f figures) stat { return f.replicas }, most},
		{"primaries_max_over_mean", func(f figures) stat { return f.primaries }, most},
		{"join", func(f figures) stat { return f.join }, most},
		{"leave", func(f figures) stat { return f.leave }, most},
		{"zone_loss", func(f figures) stat { return f.zoneLoss }, most},
		{"rolling_restart", func(f figures) stat { return f.rolling }, most},
		{"zone_spread", func(f figures) stat { return f.spread }, least},
		{"peers", func(f figures) stat { return f.peers }, least},
		{"peer_share", func(f figures) stat { return f.peerShare }, most},
	} {
		value := func(of func(stat) float64) func(figures) string {
			return func(f figures) string {
				if c.of(f).count == 0 {
					return ""
				}
				return measure.Decimal(of(c.of(f)))
			}
		}
		all = append(all, column{Name: c.name + "_worst", Value: value(c.worst)}, column{Name: c.name + "_mean", Value: value(stat.mean)})
	}
	return append(all, column{Name: buildColumn, Value: func(f figures) string {
		return measure.Decimal(float64(f.build) / float64(time.Millisecond))
	}})
}

// buildColumn is the only column that depends on the machine.
const buildColumn = "build_ms_this_machine"

// drawn draws the results: how even the replicas are against the slots that a join
// moves, both as means over seeds.
func drawn(results []figures) measure.Scatter {
	s := measure.Scatter{
		Title: "Balance against movement", Caption: "one mark a strategy and layout, means over seeds; best is bottom left", Series: labels(strategies),
		XTitle: "balance: the fullest member's replicas over the mean, per weight", YTitle: "movement: slots that a join moves, over the minimum",
	}
	for _, f := range results {
		x, y := f.replicas.mean(), f.join.mean()
		s.Points = append(s.Points, measure.Point{
			X: x, Y: y, Series: label(f.strategy), Family: f.layout.family,
			Tooltip: fmt.Sprintf("%s on %s: max/mean %.3f, join %.2f of the minimum", label(f.strategy), f.layout, x, y),
		})
	}
	return s
}
