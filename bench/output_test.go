package main

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// small are layouts that measure in no time, one with regions and weights.
var small = []layout{
	{family: "One zone", zones: []int{5}, partitions: 64, replicas: 3, quick: true},
	{family: "Two regions", zones: []int{3, 3}, regions: 2, weights: []int{1, 2}, partitions: 64, replicas: 3, quick: true},
	{family: "Two regions", zones: []int{30, 30}, partitions: 64, replicas: 3},
}

// report runs the subcommand on the small layouts.
func report(t *testing.T, args ...string) (out, progress string) {
	o, err := parsePlacement(args, io.Discard)
	require.NoError(t, err)
	var table, told bytes.Buffer
	require.NoError(t, o.run(small, &table, &told))
	return table.String(), told.String()
}

func TestTable(t *testing.T) {
	out, progress := report(t, "-seeds", "2")
	require.Contains(t, out, "seeds 1 to 2")
	for _, column := range []string{"replicas", "primaries", "join", "leave", "zone loss", "rolling", "span", "peers", "most", "build"} {
		require.Contains(t, out, column)
	}
	for _, s := range strategies {
		require.Equal(t, len(small), strings.Count(out, "\n "+label(s)+" "), label(s))
		require.Contains(t, progress, label(s))
	}
	width := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		require.LessOrEqual(t, utf8.RuneCountInString(line), 110, line)
		if strings.HasPrefix(line, " "+label(strategies[0])) {
			if width == 0 {
				width = utf8.RuneCountInString(line)
			}
			require.Equal(t, width, utf8.RuneCountInString(line), "aligned: %s", line)
		}
	}
	require.Contains(t, progress, "100%")
}

func TestQuickTakesQuickLayouts(t *testing.T) {
	out, _ := report(t, "-quick", "-strategies", "round-robin")
	require.Equal(t, 2, strings.Count(out, "\n round-robin "))
	require.NotContains(t, out, "rendezvous")
}

func TestCellsFit(t *testing.T) {
	require.Equal(t, "1.04", fit(1.04, 4, 2))
	require.Equal(t, "97.7", fit(97.72, 4, 2))
	require.Equal(t, " 998", fit(998.2, 4, 2))
	require.Equal(t, ">99.9", percent(0.99999))
	require.Equal(t, " 100%", percent(1))
	require.Equal(t, " 6.1%", percent(0.0612))
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	csvFile, svgFile := filepath.Join(dir, "p.csv"), filepath.Join(dir, "p.svg")
	report(t, "-seeds", "1", "-csv", csvFile, "-svg", svgFile)

	content, err := os.ReadFile(csvFile)
	require.NoError(t, err)
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+len(small)*len(strategies))
	for i, c := range columns {
		require.Equal(t, c.name, records[0][i])
	}
	zoneLoss := 0
	for records[0][zoneLoss] != "zone_loss_mean" {
		zoneLoss++
	}
	require.Empty(t, records[1][zoneLoss], "one zone cannot lose one")
	require.NotEmpty(t, records[len(records)-1][zoneLoss])

	content, err = os.ReadFile(svgFile)
	require.NoError(t, err)
	d, tooltips := xml.NewDecoder(bytes.NewReader(content)), 0
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
	require.Equal(t, 1+len(small)*len(strategies), tooltips, "the picture's title, and one for each mark")
	require.NotContains(t, string(content), "NaN")
}

func TestUnwritableFileIsKnownFirst(t *testing.T) {
	o, err := parsePlacement([]string{"-csv", filepath.Join(t.TempDir(), "none", "p.csv")}, io.Discard)
	require.NoError(t, err)
	var told bytes.Buffer
	require.ErrorIs(t, o.run(small, io.Discard, &told), os.ErrNotExist)
	require.Empty(t, told.String())
}

func TestLayoutsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, l := range layouts {
		require.False(t, seen[l.String()], l)
		seen[l.String()] = true
		require.LessOrEqual(t, utf8.RuneCountInString(l.String())+len("; replicas at best 1.000; 10 members leave"), 110, l)
	}
	require.LessOrEqual(t, len(strategies), svgColours)
}

func TestCommandLine(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run([]string{"-h"}, &out, io.Discard))
	require.Contains(t, out.String(), "placement")

	out.Reset()
	require.ErrorIs(t, run([]string{"placement", "-h"}, &out, io.Discard), flag.ErrHelp)
	for _, name := range []string{"-quick", "-seeds", "-strategies", "-csv", "-svg"} {
		require.Contains(t, out.String(), name)
	}

	for args, message := range map[string]string{
		"nothing":                        `no report is called "nothing", bench -h lists those there are`,
		"placement more":                 `unexpected argument "more", see placement -h`,
		"placement -fast":                `flag provided but not defined: -fast, see placement -h`,
		"placement -seeds 0":             `-seeds is 0, it must be 1 to 1000`,
		"placement -strategies best":     `-strategies: no strategy is called "best", there are ` + strings.Join(labels(strategies), ", "),
		"placement -strategies=, -quick": `-strategies: no strategy is called "", there are ` + strings.Join(labels(strategies), ", "),
	} {
		err := run(strings.Fields(args), io.Discard, io.Discard)
		var mistake *usageError
		require.ErrorAs(t, err, &mistake, args)
		require.EqualError(t, err, message)
	}
}
