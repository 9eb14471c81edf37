//go:build !race

// Nothing here runs at once with anything else, and under the race detector it
// would take a minute.

package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func document(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(content)
}

// tableOf returns the rows of the table of a page whose head begins in a way, and
// the number of the line of the first.
func tableOf(t *testing.T, page, head string) (rows [][]string, line int) {
	t.Helper()
	before, table, found := strings.Cut(page, "\n"+head)
	require.True(t, found, "no table begins with %q", head)
	table, _, _ = strings.Cut(table, "\n\n")
	for _, text := range strings.Split(table, "\n")[2:] {
		var row []string
		for cell := range strings.SplitSeq(strings.Trim(text, "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	return rows, strings.Count(before, "\n") + 4
}

// TestPlacementPages holds the figures of docs/placement.md against the file that
// the full report has written, that file against what some of it gives when it
// is measured again, and the table of the README against the quick report.
func TestPlacementPages(t *testing.T) {
	records, err := csv.NewReader(strings.NewReader(document(t, "docs/placement/report.csv"))).ReadAll()
	require.NoError(t, err)
	recorded := make(map[string]map[string]string) // by layout and strategy
	for _, record := range records[1:] {
		row := make(map[string]string)
		for i, name := range records[0] {
			row[name] = record[i]
		}
		name, _, _ := strings.Cut(row["strategy"], "/")
		recorded[strings.Join([]string{row["family"], row["zones"], row["partitions"], name}, " ")] = row
	}

	t.Run("the table of docs/placement.md", func(t *testing.T) {
		layouts := map[string]string{
			"10 in one zone": "One zone 10 4096", "100 in one zone": "One zone 100 4096",
			"1000 in one zone, 65,536 partitions": "One zone 1000 65536",
			"3 zones of 10":                       "Equal zones 10/10/10 4096", "5 zones of 6": "Equal zones 6/6/6/6/6 4096",
			"zones of 16/12/8/4": "Unequal zones 16/12/8/4 4096", "zones of 20/10": "Fewer zones than replicas 20/10 4096",
			"2 regions × 3 zones of 5":        "Two regions 5/5/5/5/5/5 4096",
			"30 in one zone, weights 1, 2, 4": "Weights 1, 2 and 4 30 4096",
		}
		names := map[string]string{"Balanced": "balanced", "Rendezvous": "rendezvous", "ConsistentHash": "consistent-hash", "RoundRobin": "round-robin"}
		rows, line := tableOf(t, document(t, "docs/placement.md"), "| members | strategy |")
		require.Len(t, rows, len(layouts)*len(names))
		layout := ""
		for i, row := range rows {
			if row[0] != "" {
				layout = layouts[row[0]]
			}
			exact := recorded[layout+" "+names[row[1]]]
			where := fmt.Sprintf("docs/placement.md:%d", line+i)
			require.NotNil(t, exact, where)
			want := []string{
				exact["replicas_max_over_mean_worst"], exact["primaries_max_over_mean_worst"],
				exact["join_worst"], exact["join_mean"], exact["leave_worst"], exact["leave_mean"],
				exact["zone_loss_worst"], exact["peer_share_worst"],
			}
			var got []string
			for _, cell := range row[2:] {
				got = append(got, strings.Split(cell, " / ")...)
			}
			require.Len(t, got, len(want), where)
			for c := range want {
				requireRounded(t, where, got[c], want[c])
			}
		}
	})

	t.Run("the file, measured again", func(t *testing.T) {
		if testing.Short() {
			t.Skip("builds hundreds of rings")
		}
		few := layouts[11:12] // of three unlike zones
		results, err := placementOptions{seeds: fullSeeds, strategies: strategies}.measure(few, io.Discard)
		require.NoError(t, err)
		for _, f := range results {
			row := recorded[strings.Join([]string{f.layout.family, f.layout.sizes(), strconv.Itoa(f.layout.partitions), label(f.strategy)}, " ")]
			for _, c := range columns {
				if c.name != "build_ms_this_machine" {
					require.Equal(t, row[c.name], c.value(f), "%s of %s on %v: docs/placement/report.csv is of another version", c.name, label(f.strategy), f.layout)
				}
			}
		}
	})

	t.Run("by members and partitions", func(t *testing.T) {
		if testing.Short() {
			t.Skip("builds hundreds of rings")
		}
		rows, line := tableOf(t, document(t, "docs/placement.md"), "| members | 256 partitions |")
		for i, row := range rows {
			members, err := strconv.Atoi(row[0])
			require.NoError(t, err)
			for c, partitions := range []int{256, 1024, 4096, 16384, 65536} {
				var f figures
				for seed := range uint64(fullSeeds) {
					l := layout{zones: []int{members}, partitions: partitions, replicas: 3}
					nodes, _ := l.members(seed + 1)
					r, err := ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: 3, Strategy: rebalance.Balanced{}}, nodes)
					require.NoError(t, err)
					f.addBalance(r)
				}
				got := fmt.Sprintf("%.2f, %.2f", f.replicas.most, f.primaries.most)
				require.Equal(t, got, row[c+1], "docs/placement.md:%d, %d partitions", line+i, partitions)
			}
		}
	})

	t.Run("the table of README.md", func(t *testing.T) {
		rows, line := tableOf(t, document(t, "README.md"), "| strategy | fullest")
		quick := placementOptions{quick: true, seeds: quickSeeds, strategies: strategies}
		results, err := quick.measure(layouts[1:2], io.Discard)
		require.NoError(t, err)
		require.Len(t, rows, len(results))
		for i, f := range results {
			want := []string{
				fmt.Sprintf("%.2f", f.replicas.most), fmt.Sprintf("%.2f", f.primaries.most),
				fit(f.join.mean(), 4, 2), fit(f.leave.mean(), 4, 2),
			}
			require.Equal(t, want, rows[i][1:5], "README.md:%d, %s", line+i, label(f.strategy))
		}
	})
}

// requireRounded holds a figure as it is shown against the exact one.
func requireRounded(t *testing.T, where, shown, exact string) {
	t.Helper()
	if exact == "" {
		require.Equal(t, "–", shown, where)
		return
	}
	want, err := strconv.ParseFloat(exact, 64)
	require.NoError(t, err, where)
	shown, isPercent := strings.CutSuffix(shown, " %")
	if isPercent {
		want *= 100
	}
	got, err := strconv.ParseFloat(shown, 64)
	require.NoError(t, err, where)
	unit := 1.0
	if _, decimals, _ := strings.Cut(shown, "."); decimals != "" {
		unit = 0.01
		require.Len(t, decimals, 2, where)
	}
	require.InDelta(t, want, got, unit/2+1e-2*unit, "%s shows %s", where, shown)
}
