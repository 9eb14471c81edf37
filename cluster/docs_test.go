package cluster

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// The last rows of the timings in docs/operations.md are of this package; the others
// are membership's.
func TestDocumentedPace(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	row, burst := "\n| a change becomes a ring after a quiet |", "\n| failures wait while other members are suspected |"
	for _, p := range []membership.Profile{membership.LAN, membership.WAN, membership.Local} {
		seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }
		burst += fmt.Sprintf(" at most %s |", seconds(paceOf(p).burst))
		row += fmt.Sprintf(" %s, at most %s |", seconds(paceOf(p).quiet), seconds(paceOf(p).longest))
	}
	require.Contains(t, string(page), row+burst+"\n")
}
