package membership

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDocumentedTimings compares the table of timings in docs/operations.md with the
// profiles. Its last row is of package cluster.
func TestDocumentedTimings(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n| | LAN | WAN | Local |\n|---|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }
	shown := make(map[string][]string)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		shown[cells[0]] = cells[1:]
	}
	for i, p := range []Profile{LAN, WAN, Local} {
		timings := p.timings()
		for row, want := range map[string]string{
			"one member probes one other every":                 seconds(timings.probeInterval),
			"a probe may take":                                  seconds(timings.probeTimeout),
			"without tethers, a crash is noticed by all within": seconds(15 * timings.probeInterval), // TestSimCrashIsNoticed
			"news is sent to":                                   fmt.Sprintf("%d every %s", timings.gossipNodes, seconds(timings.gossipInterval)),
			"up to 32 members, all are exchanged every":         seconds(timings.pushPullInterval),
			"lost members and seeds are tried every":            seconds(timings.rejoinInterval),
			"a message about handoff is given up after":         seconds(timings.patience),
		} {
			require.Contains(t, shown, row, "docs/operations.md")
			require.Equal(t, want, strings.Replace(shown[row][i], "members ", "", 1), "docs/operations.md: %s (%v)", row, p)
		}
	}
	require.Len(t, shown, 9, "docs/operations.md has a row that no test knows")
}
