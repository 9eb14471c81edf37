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

// The last row of the timings in docs/operations.md is of this package; the others
// are membership's.
func TestDocumentedPace(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	row := "\n| a change becomes a ring after a quiet |"
	for _, p := range []membership.Profile{membership.LAN, membership.WAN, membership.Local} {
		seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }
		row += fmt.Sprintf(" %s, at most %s |", seconds(paceOf(p).quiet), seconds(paceOf(p).longest))
	}
	require.Contains(t, string(page), row+"\n")
}
