package main

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"
)

// column is one column of the CSV file.
type column struct {
	name  string
	value func(figures) string
}

// columns are those of the CSV file. Figures have their worst and their mean
// over seeds and changes; the worst of zone_spread, peers and takers is the
// least. Ratios and parts are fractions, movements are over the minimum that
// figures defines, and a figure that does not apply is empty.
var columns = []column{
	{"family", func(f figures) string { return f.layout.family }},
	{"layout", func(f figures) string { return f.layout.shape() }},
	{"zones", func(f figures) string { return f.layout.sizes() }},
	{"regions", func(f figures) string { return strconv.Itoa(max(f.layout.regions, 1)) }},
	{"weights", func(f figures) string { return slashed(f.layout.weights) }},
	{"members", func(f figures) string { return strconv.Itoa(f.layout.size()) }},
	{"partitions", func(f figures) string { return strconv.Itoa(f.layout.partitions) }},
	{"replicas", func(f figures) string { return strconv.Itoa(f.layout.replicas) }},
	{"strategy", func(f figures) string { return f.strategy.Name() }},
	{"seeds", func(f figures) string { return strconv.Itoa(f.seeds) }},
	{"replicas_max_over_mean_at_best", func(f figures) string { return decimal(f.layout.atBest()) }},
	{"replicas_max_over_mean_worst", func(f figures) string { return f.replicas.highest() }},
	{"replicas_max_over_mean_mean", func(f figures) string { return f.replicas.average() }},
	{"primaries_max_over_mean_worst", func(f figures) string { return f.primaries.highest() }},
	{"primaries_max_over_mean_mean", func(f figures) string { return f.primaries.average() }},
	{"join_worst", func(f figures) string { return f.join.highest() }},
	{"join_mean", func(f figures) string { return f.join.average() }},
	{"leave_worst", func(f figures) string { return f.leave.highest() }},
	{"leave_mean", func(f figures) string { return f.leave.average() }},
	{"zone_loss_worst", func(f figures) string { return f.zoneLoss.highest() }},
	{"zone_loss_mean", func(f figures) string { return f.zoneLoss.average() }},
	{"rolling_restart_worst", func(f figures) string { return f.rolling.highest() }},
	{"rolling_restart_mean", func(f figures) string { return f.rolling.average() }},
	{"zone_spread_worst", func(f figures) string { return f.spread.lowest() }},
	{"zone_spread_mean", func(f figures) string { return f.spread.average() }},
	{"peers_worst", func(f figures) string { return f.peers.lowest() }},
	{"peers_mean", func(f figures) string { return f.peers.average() }},
	{"peer_share_worst", func(f figures) string { return f.peerShare.highest() }},
	{"peer_share_mean", func(f figures) string { return f.peerShare.average() }},
	{"takers_worst", func(f figures) string { return f.takers.lowest() }},
	{"takers_mean", func(f figures) string { return f.takers.average() }},
	{"taker_share_worst", func(f figures) string { return f.takerShare.highest() }},
	{"taker_share_mean", func(f figures) string { return f.takerShare.average() }},
	{"build_ms_this_machine", func(f figures) string {
		return decimal(float64(f.build) / float64(time.Millisecond))
	}},
}

func (s stat) highest() string { return s.decimal(s.most) }
func (s stat) lowest() string  { return s.decimal(s.least) }
func (s stat) average() string { return s.decimal(s.mean()) }

// decimal is one of the stat's values, empty when there is none.
func (s stat) decimal(v float64) string {
	if s.count == 0 {
		return ""
	}
	return decimal(v)
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

// writeCSV writes the columns' names and a record for each result.
func writeCSV(out io.Writer, results []figures) error {
	w := csv.NewWriter(out)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for _, f := range results {
		for i, c := range columns {
			record[i] = c.value(f)
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
