package cluster

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// A problem has a line when it appears and one when it is over, at the level that fits.
func TestProblemLog(t *testing.T) {
	var out strings.Builder
	l := problemLog{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	now := time.Unix(1_000_000, 0)
	says := func(after time.Duration, problems []api.Problem, want ...string) {
		t.Helper()
		out.Reset()
		now = now.Add(after)
		l.update(now, problems)
		require.Equal(t, want, strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' }))
	}
	zones := api.Problem{Code: api.ProblemZones, Message: "3 partitions"}
	lost := api.Problem{Code: api.ProblemPossibleLoss, Message: "gone", Critical: true}
	none := []string{}

	says(0, nil, none...)
	says(0, []api.Problem{zones}, `level=WARN msg="a problem appeared" problem=zones message="3 partitions"`)
	says(time.Hour, []api.Problem{lost, zones, zones}, `level=ERROR msg="a problem appeared" problem=possible-loss message=gone`)
	says(time.Second, []api.Problem{lost}, `level=INFO msg="a problem is over" problem=zones lasted=1h0m1s`)
	says(0, nil, `level=INFO msg="a problem is over" problem=possible-loss lasted=1s`)
	says(0, []api.Problem{{Code: api.ProblemJoining, Unready: true}}, `level=INFO msg="a problem appeared" problem=joining message=""`)
	says(0, nil, `level=INFO msg="a problem is over" problem=joining lasted=0s`)

	// One that comes and goes is counted.
	says(time.Hour, []api.Problem{zones}, `level=WARN msg="a problem appeared" problem=zones message="3 partitions"`)
	says(0, nil, `level=INFO msg="a problem is over" problem=zones lasted=0s`)
	for range 5 {
		says(time.Second, []api.Problem{zones}, none...)
		says(time.Second, nil, none...)
	}
	says(time.Second, []api.Problem{zones}, none...)
	says(time.Minute, []api.Problem{zones}, `level=WARN msg="a problem appeared" problem=zones message="3 partitions" repeated=5`)
	says(time.Second, nil, `level=INFO msg="a problem is over" problem=zones lasted=1m1s`)
}

// Each problem has a line: this package logs its own, and membership those of gossip, which have words of
// this package in health.
func TestEachProblemIsLogged(t *testing.T) {
	var own []string
	for _, code := range problemCodes {
		var out strings.Builder
		l := problemLog{log: slog.New(slog.NewTextHandler(&out, nil))}
		l.update(time.Now(), []api.Problem{{Code: code, Message: "why"}})
		require.Contains(t, out.String(), `msg="a problem appeared" problem=`+code+` message=why`)
		own = append(own, code)
	}
	c, err := New(Options{ClusterName: "orders", NodeID: "n1", GossipAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	var gossip []string
	for _, g := range gossipProblems {
		gossip = append(gossip, g.code)
	}
	require.ElementsMatch(t, gossip, membership.Drive(c.members).TroubleKinds())
	require.Len(t, c.Metrics().Problems, len(own)+len(gossip))
}
