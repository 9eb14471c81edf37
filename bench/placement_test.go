package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// few are layouts that take little time, one with regions and weights.
var few = []layout{
	{family: "One zone", zones: []int{5}, partitions: 64, replicas: 3, quick: true},
	{family: "Two regions", zones: []int{3, 3}, regions: 2, weights: []int{1, 2}, partitions: 64, replicas: 3, quick: true},
	{family: "Two regions", zones: []int{30, 30}, partitions: 64, replicas: 3},
}

func TestPlacementReport(t *testing.T) {
	dir := t.TempDir()
	csvFile, svgFile := filepath.Join(dir, "p.csv"), filepath.Join(dir, "p.svg")
	var out bytes.Buffer
	require.NoError(t, runPlacement([]string{"-seeds", "2", "-csv", csvFile, "-svg", svgFile}, few, &out, io.Discard))
	require.Contains(t, out.String(), "seeds 1 to 2")
	for _, s := range strategies {
		require.Equal(t, len(few), strings.Count(out.String(), "\n| "+label(s)+" "), label(s))
	}
	content, err := os.ReadFile(csvFile)
	require.NoError(t, err)
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+len(few)*len(strategies))
	zoneLoss := 0
	for records[0][zoneLoss] != "zone_loss_mean" {
		zoneLoss++
	}
	require.Empty(t, records[1][zoneLoss], "one zone cannot lose one")
	require.NotEmpty(t, records[len(records)-1][zoneLoss])
	content, err = os.ReadFile(svgFile)
	require.NoError(t, err)
	require.Equal(t, len(few)*len(strategies), strings.Count(string(content), "of the minimum</title>"), "one mark each")

	out.Reset()
	require.NoError(t, runPlacement([]string{"-quick", "-strategies", "round-robin"}, few, &out, io.Discard))
	require.Equal(t, 2, strings.Count(out.String(), "\n| round-robin "))
	require.NotContains(t, out.String(), "\n| rendezvous")
}

func TestPercent(t *testing.T) {
	require.Equal(t, []string{">99.9 %", "100 %", "6.12 %"}, []string{percent(0.99999), percent(1), percent(0.0612)})
}

func TestLayoutsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, l := range layouts {
		require.False(t, seen[l.String()], l)
		seen[l.String()] = true
	}
	require.LessOrEqual(t, len(strategies), measure.Colours)
}

func TestCommandLine(t *testing.T) {
	for args, contains := range map[string][]string{
		"-h":           {"lookup", "placement"},
		"placement -h": {"-quick", "-seeds", "-strategies", "-csv", "-svg"},
		"lookup -h":    {"-quick", "-only", "-rounds", "-csv", "-svg", "growth"},
	} {
		var out bytes.Buffer
		if err := run(strings.Fields(args), &out, io.Discard); err != nil {
			require.ErrorIs(t, err, flag.ErrHelp)
		}
		for _, text := range contains {
			require.Contains(t, out.String(), text)
		}
	}
	for args, message := range map[string]string{
		"nothing":                        `no report is called "nothing", bench -h lists them`,
		"placement more":                 `unexpected argument "more", see -h`,
		"placement -fast":                `flag provided but not defined: -fast, see -h`,
		"placement -seeds 1001":          `-seeds is 1001, it must be 1 to 1000`,
		"placement -strategies best":     `-strategies: no strategy is called "best", there are ` + strings.Join(labels(strategies), ", "),
		"placement -strategies=, -quick": `-strategies: no strategy is called "", there are ` + strings.Join(labels(strategies), ", "),
	} {
		err := run(strings.Fields(args), io.Discard, io.Discard)
		require.EqualError(t, err, message)
	}
	for _, report := range []string{"lookup", "placement"} {
		for _, file := range []string{"-csv", "-svg"} {
			err := run([]string{report, file, filepath.Join(t.TempDir(), "none", "f")}, io.Discard, io.Discard)
			require.ErrorIs(t, err, os.ErrNotExist, "before anything is measured")
		}
	}
}
