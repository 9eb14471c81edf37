package docs_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// measured are the figures of a file that bench has written, by group and case.
type measured map[string]map[string]map[string]string

func measuredIn(t *testing.T, files ...string) measured {
	t.Helper()
	m := make(measured)
	for _, file := range files {
		f, err := os.Open(filepath.Join(documents.Root(t), "docs", "performance", file))
		require.NoError(t, err)
		defer f.Close()
		records, err := csv.NewReader(f).ReadAll()
		require.NoError(t, err)
		for _, record := range records[1:] {
			row := make(map[string]string)
			for i, name := range records[0] {
				row[name] = record[i]
			}
			name := row["case"]
			if row["role"] != "" {
				name += " (" + row["role"] + ")"
			}
			if m[row["group"]] == nil {
				m[row["group"]] = make(map[string]map[string]string)
			}
			m[row["group"]][name] = row
		}
	}
	return m
}

// units are those of times, in nanoseconds.
var units = map[string]float64{"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}

// requireRounded holds a figure as it is shown against the exact one.
func requireRounded(t *testing.T, where, shown, exact string, unit float64) {
	t.Helper()
	got, err := strconv.ParseFloat(shown, 64)
	require.NoError(t, err, where)
	want, err := strconv.ParseFloat(exact, 64)
	require.NoError(t, err, where)
	_, decimals, _ := strings.Cut(shown, ".")
	// The file has four decimals, which is one rounding more.
	require.InDelta(t, want/unit, got, 0.5*math.Pow10(-len(decimals))+1e-4, "%s shows %s", where, shown)
}

// TestPerformancePages holds the figures of docs/performance.md, and those of the
// README that are taken from there, against the files that were written in the
// same run. What no file has is the pauses of a reader, the memory of a ring, and
// how evenly libraries spread keys; tests of bench know these tables.
func TestPerformancePages(t *testing.T) {
	exact := measuredIn(t, "lookup.csv", "peers.csv")
	docs := documents.Read(t)
	group, checked := "", 0
	var head []string
	for i, line := range strings.Split(docs["docs/performance.md"], "\n") {
		where := fmt.Sprintf("docs/performance.md:%d", i+1)
		switch {
		case strings.HasPrefix(line, "#"):
			group, head = strings.TrimLeft(line, "# "), nil
		case !strings.HasPrefix(line, "|"):
			head = nil
			if exact.requireClaim(t, where, group, line) {
				checked++
			}
		case head == nil:
			head = documents.Cells(line)
		case documents.Separator.MatchString(line):
		case head[0] == "million operations a second":
			for c, cell := range documents.Cells(line)[1 : len(head)-2] {
				name := documents.Cells(line)[0] + ", " + head[c+1]
				row := exact[group][name]
				if row == nil {
					row = exact[group][name+" (floor)"]
				}
				require.NotNil(t, row, "%s: not in the files", where)
				ns, err := strconv.ParseFloat(row["ns_median"], 64)
				require.NoError(t, err)
				requireRounded(t, where, cell, fmt.Sprint(1e3/ns), 1)
			}
			checked++
		case exact[group] != nil:
			exact.requireRow(t, where, group, head, documents.Cells(line))
			checked++
		}
	}
	require.Greater(t, checked, 400)

	for _, s := range documents.HeldBy(t, t.Name()) {
		if s.Document != "README.md" {
			continue
		}
		calls := exact["Calls to a cluster of 50 members, hot keys of 16 bytes"]
		batches := exact["Batches: a million keys in random order of 16 bytes, a key"]
		require.Len(t, s.Lines, 3, "%v", s)
		for i, want := range []string{
			calls["primary"]["over_floor_median"],
			calls["primary, partition kept by the caller"]["over_floor_median"],
			calls["three replicas, All"]["over_floor_median"],
			calls["batch of 1024 by owner, a key"]["over_floor_median"],
			batches["Group, 1024 keys"]["over_reference_median"],
		} {
			requireRounded(t, fmt.Sprintf("README.md:%d", s.Line+2), documents.Cells(s.Lines[2])[i], want, 1)
		}
	}
}

// requireRow holds one row of a page against the files.
func (m measured) requireRow(t *testing.T, where, group string, head, row []string) {
	t.Helper()
	exact := m[group][row[0]]
	require.NotNil(t, exact, "%s: %q is not in the files", where, row[0])
	unit, of := 1.0, "ns"
	for i, column := range head {
		cell := row[i]
		switch column {
		case "time":
			value, name, _ := strings.Cut(cell, " ")
			require.Contains(t, units, name, where)
			unit = units[name]
			requireRounded(t, where, value, exact["ns_median"], unit)
		case "/floor":
			requireRounded(t, where, cell, exact["over_floor_median"], 1)
			unit, of = 1, "over_floor"
		case "/reference":
			requireRounded(t, where, cell, exact["over_reference_median"], 1)
		case "quartiles":
			low, high, _ := strings.Cut(cell, "–")
			requireRounded(t, where, low, exact[of+"_low_quartile"], unit)
			requireRounded(t, where, high, exact[of+"_high_quartile"], unit)
		case "allocs":
			requireRounded(t, where, cell, exact["allocs_an_operation"], 1)
		case "bytes":
			requireRounded(t, where, cell, exact["bytes_an_operation"], 1)
		}
	}
}

var (
	claim   = regexp.MustCompile(`^- (.+): (.+) takes ([0-9.]+) times as long \(([0-9.]+)–([0-9.]+)\), aimed at ([0-9]+): (holds|falls short)$`)
	verdict = regexp.MustCompile(`^The fastest beside the reference, (.+), takes ([0-9.]+) times as long as (.+)\.$`)
)

// requireClaim holds a sentence about a ratio against the files, and reports
// whether the line is one.
func (m measured) requireClaim(t *testing.T, where, group, line string) bool {
	t.Helper()
	if c := claim.FindStringSubmatch(line); c != nil {
		row := m[c[1]][c[2]]
		require.NotNil(t, row, "%s: not in the files", where)
		requireRounded(t, where, c[3], row["over_reference_median"], 1)
		requireRounded(t, where, c[4], row["over_reference_low_quartile"], 1)
		requireRounded(t, where, c[5], row["over_reference_high_quartile"], 1)
		ratio, err := strconv.ParseFloat(row["over_reference_median"], 64)
		require.NoError(t, err)
		aim, err := strconv.ParseFloat(c[6], 64)
		require.NoError(t, err)
		require.Equal(t, ratio >= aim, c[7] == "holds", where)
		return true
	}
	v := verdict.FindStringSubmatch(line)
	if v == nil {
		return false
	}
	require.Contains(t, m[group], v[1], where)
	require.Contains(t, m[group], v[3]+" (reference)", where)
	requireRounded(t, where, v[2], m[group][v[1]]["over_reference_median"], 1)
	return true
}
