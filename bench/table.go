package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// The heading of the table: two lines above the columns of tableRow.
var tableHead = strings.TrimPrefix(`
                     replicas    primaries       join      leave  zone loss    rolling  zone        most build
                     max/mean     max/mean       /min       /min       /min       /min  span peers    on  time
`, "\n")

const tableLegend = `
Pairs are the worst and the mean over seeds and changes; single figures are the worst.
max/mean   the fullest member's replica slots, or primaries, over the mean; both per weight
at best    what no strategy can be below while partitions span as many zones as they can
/min       slots that change owner, over those that no plan could have left in place:
  join       those that the joiner ends up with; one joiner for each zone and weight
  leave      those that the leaver held
  zone loss  those that were in the zone; each zone in turn
  rolling    each member in turn leaves and comes back: those that each held, twice; in total
zone span  partitions that span as many zones as they can, before and after every change
peers      other owners of the partitions that a lost member held, who serve for it at once;
  most on    the largest part of these partitions that one of them owns
build time the median of %d builds on this machine (%s/%s, %d CPUs)
`

// writeTable prints the results grouped by family and layout. It takes how many
// members of a layout left one by one, to say so.
func writeTable(out io.Writer, results []figures, leaves func(layout) int) error {
	var b bytes.Buffer
	if len(results) > 0 {
		fmt.Fprintf(&b, "Placement with member IDs derived from the seeds 1 to %d. Pairs are worst and mean; the legend is below.\n", results[0].seeds)
	}
	family, shown := "", ""
	for _, f := range results {
		l := f.layout
		if l.family != family {
			family = l.family
			fmt.Fprintf(&b, "\n%s\n%s", strings.ToUpper(family), tableHead)
		}
		if l.String() != shown {
			shown = l.String()
			fmt.Fprintf(&b, "%s; replicas at best %.3f", shown, l.atBest())
			if n := leaves(l); n < l.size() {
				fmt.Fprintf(&b, "; %d members leave", n)
			}
			b.WriteByte('\n')
		}
		b.WriteString(tableRow(f))
	}
	fmt.Fprintf(&b, tableLegend, timedBuilds, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	_, err := out.Write(b.Bytes())
	return err
}

// tableRow is one strategy's line.
func tableRow(f figures) string {
	return fmt.Sprintf(" %-15s  %s  %s  %s  %s  %s  %s %s %5.0f %s %5s\n", label(f.strategy),
		f.replicas.pair(5, 3), f.primaries.pair(5, 3),
		f.join.pair(4, 2), f.leave.pair(4, 2), f.zoneLoss.pair(4, 2), f.rolling.pair(4, 2),
		percent(f.spread.least), f.peers.least, percent(f.peerShare.most), brief(f.build))
}

// pair is the worst and the mean, in columns of a width, with so many decimals
// or as many as fit.
func (s stat) pair(width, decimals int) string {
	if s.count == 0 {
		return fmt.Sprintf("%*s", 2*width+1, "-")
	}
	return fit(s.most, width, decimals) + " " + fit(s.mean(), width, decimals)
}

func fit(v float64, width, decimals int) string {
	text := fmt.Sprintf("%*.*f", width, decimals, v)
	for len(text) > width && decimals > 0 {
		decimals--
		text = fmt.Sprintf("%*.*f", width, decimals, v)
	}
	return text
}

// percent is a part of 1 in five columns. It does not round up to all, nor down
// to nothing.
func percent(v float64) string {
	switch {
	case v >= 1:
		return " 100%"
	case v > 0.999:
		return ">99.9"
	}
	return fmt.Sprintf("%4.1f%%", 100*v)
}

// brief is a duration in two to four digits.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0fms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}
