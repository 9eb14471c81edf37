package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
	"github.com/clusterkit/clusterkit/rebalance"
)

// TestTheReadme runs the commands of README.md, and compares what they print.
func TestTheReadme(t *testing.T) {
	f := newFleet(t)
	all := f.many(3, withTokens)
	other := f.start(5, func(o *cluster.Options) {
		withTokens(o)
		o.Seeds, o.Strategy = nil, rebalance.Rendezvous{}
	})
	varies := append([]documents.Vary{
		documents.Varying(` *20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`, ` *20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`),
		documents.Varying(` *\b[0-9a-f]{16}\b`, ` *[0-9a-f]{16}`),
	}, documents.Figures...)
	for _, s := range documents.HeldBy(t, t.Name()) {
		args := strings.Fields(strings.TrimPrefix(s.Lines[0], "$ clusterctl "))
		want := 0
		for i, arg := range args {
			if arg == "--addr" {
				args[i+1], want = all[0].HTTPAddr()+","+other.HTTPAddr(), 1
			}
		}
		code, out, problems := ctl(t, carrying(all[0], opsToken), args...)
		require.Equal(t, want, code, "%v: %s", s, problems)
		rest := strings.Split(out, "\n")
		for _, line := range s.Lines[1:] {
			pattern := documents.PatternOf(line, varies)
			for len(rest) > 0 && !pattern.MatchString(rest[0]) {
				rest = rest[1:]
			}
			require.NotEmpty(t, rest, "%v: %s is not printed in this place:\n%s", s, line, out)
			rest = rest[1:]
		}
	}
}
