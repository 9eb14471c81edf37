//go:build !race

// These tests are sequential, so they cannot have races, and with the race detector
// they would take a minute.

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

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func document(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(content)
}

// tableOf returns the rows of the table of a document whose head begins as given.
func tableOf(t *testing.T, name, head string) (rows [][]string) {
	t.Helper()
	_, table, found := strings.Cut(document(t, name), "\n"+head)
	require.True(t, found, "%s: no table begins with %q", name, head)
	table, _, _ = strings.Cut(table, "\n\n")
	for _, text := range strings.Split(table, "\n")[2:] {
		var row []string
		for cell := range strings.SplitSeq(strings.Trim(text, "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	return rows
}

// TestPlacementPages compares the tables of docs/placement.md and of the README with
// the file of the full report, and a part of that file with new measurements.
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
		recorded[strings.Join([]string{row["zones"], row["weights"], row["partitions"], name}, " ")] = row
	}

	t.Run("the table of docs/placement.md", func(t *testing.T) {
		layouts := map[string]string{
			"10 in one zone": "10  4096", "100 in one zone": "100  4096", "1000 in one zone, 65,536 partitions": "1000  65536",
			"3 zones of 10": "10/10/10  4096", "5 zones of 6": "6/6/6/6/6  4096", "zones of 16/12/8/4": "16/12/8/4  4096",
			"zones of 20/10": "20/10  4096", "2 regions × 3 zones of 5": "5/5/5/5/5/5  4096", "30 in one zone, weights 1, 2, 4": "30 1/2/4 4096",
		}
		names := map[string]string{"Balanced": "balanced", "Rendezvous": "rendezvous", "ConsistentHash": "consistent-hash", "RoundRobin": "round-robin"}
		rows, layout := tableOf(t, "docs/placement.md", "| members | strategy |"), ""
		require.Len(t, rows, len(layouts)*len(names))
		for _, row := range rows {
			if row[0] != "" {
				layout = layouts[row[0]]
			}
			exact := recorded[layout+" "+names[row[1]]]
			require.NotNil(t, exact, row)
			shown := func(name string) string {
				v, err := strconv.ParseFloat(exact[name], 64)
				switch {
				case err != nil:
					return "–"
				case name == "peer_share_worst":
					return fmt.Sprintf("%.0f %%", 100*v)
				case v >= 20:
					return fmt.Sprintf("%.0f", v)
				}
				return fmt.Sprintf("%.2f", v)
			}
			require.Equal(t, []string{
				shown("replicas_max_over_mean_worst"), shown("primaries_max_over_mean_worst"),
				shown("join_worst") + " / " + shown("join_mean"), shown("leave_worst") + " / " + shown("leave_mean"),
				shown("zone_loss_worst"), shown("peer_share_worst"),
			}, row[2:], "docs/placement.md, %s", layout)
		}
	})

	t.Run("members with numbers", func(t *testing.T) {
		rows := tableOf(t, "docs/placement.md", "| members with numbers |")
		for _, l := range numberedLayouts {
			for _, s := range numberedStrategies(l) {
				f, err := numberedFiguresOf(s, l)
				require.NoError(t, err)
				require.NotEmpty(t, rows)
				require.Equal(t, f.cells(), rows[0][2:], "docs/placement.md, %s, %s", l, label(s))
				rows = rows[1:]
			}
		}
		require.Empty(t, rows)
	})

	t.Run("the table of README.md", func(t *testing.T) {
		rows := tableOf(t, "README.md", "| strategy | fullest")
		quick := placementOptions{quick: true, seeds: quickSeeds, strategies: strategies}
		results, err := quick.measure(layouts[1:2], io.Discard)
		require.NoError(t, err)
		require.Len(t, rows, len(results)+1)
		ordinal, err := numberedFiguresOf(rebalance.Ordinal{Prefix: "orders-"}, numberedLayout{100, 1})
		require.NoError(t, err)
		results = append(results, figures{strategy: ordinal.strategy, replicas: ordinal.replicas, primaries: ordinal.primaries, join: ordinal.grow, leave: ordinal.shrink})
		for i, f := range results {
			want := []string{measure.Digits(f.replicas.most), measure.Digits(f.primaries.most), measure.Digits(f.join.mean()), measure.Digits(f.leave.mean())}
			require.Equal(t, want, rows[i][1:5], "README.md, %s", label(f.strategy))
		}
	})

	if testing.Short() {
		t.Skip("the rest builds hundreds of rings")
	}
	t.Run("the file, measured again", func(t *testing.T) {
		few := layouts[11:12] // of three different zones
		results, err := placementOptions{seeds: fullSeeds, strategies: strategies}.measure(few, io.Discard)
		require.NoError(t, err)
		for _, f := range results {
			row := recorded[strings.Join([]string{slashed(f.layout.zones), slashed(f.layout.weights), strconv.Itoa(f.layout.partitions), label(f.strategy)}, " ")]
			for _, c := range placementColumns() {
				if c.Name != buildColumn {
					require.Equal(t, row[c.Name], c.Value(f), "%s of %s on %v: docs/placement/report.csv is of another version", c.Name, label(f.strategy), f.layout)
				}
			}
		}
	})
	t.Run("by members and partitions", func(t *testing.T) {
		for _, row := range tableOf(t, "docs/placement.md", "| members | 256 partitions |") {
			members, err := strconv.Atoi(row[0])
			require.NoError(t, err)
			for c, partitions := range []int{256, 1024, 4096, 16384, 65536} {
				var f figures
				for seed := range uint64(fullSeeds) {
					nodes, _ := layout{zones: []int{members}}.members(seed + 1)
					r, err := ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: 3, Strategy: rebalance.Balanced{}}, nodes)
					require.NoError(t, err)
					f.addBalance(r)
				}
				require.Equal(t, fmt.Sprintf("%.2f, %.2f", f.replicas.most, f.primaries.most), row[c+1], "docs/placement.md, %d members, %d partitions", members, partitions)
			}
		}
	})
}
