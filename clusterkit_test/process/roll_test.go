//go:build linux

package process_test

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// rounds returns the flags that a section of docs/operations.md gives every member, for each round.
func rounds(t *testing.T, section string) (flags [][]string) {
	t.Helper()
	_, text, found := strings.Cut(documents.Read(t)["docs/operations.md"], "\n### "+section+"\n")
	require.True(t, found, section)
	text, _, _ = strings.Cut(text, "\n### ")
	for _, command := range regexp.MustCompile(`(?m)^    go run \./examples/node -id n1 (.*)$`).FindAllStringSubmatch(text, -1) {
		flags = append(flags, strings.Fields(command[1]))
	}
	return flags
}

// testRoll changes the configuration of running clusters with the commands of docs/operations.md. In each
// round it restarts member by member. After the first round each member can run both configurations.
func testRoll(t *testing.T, binary string) {
	factor := rounds(t, "Change the replication factor")
	strategy := rounds(t, "Change the strategy")
	require.Len(t, factor, 4)
	require.Len(t, strategy, 2)
	for _, change := range []struct {
		name, before, after string
		begin               []string
		rounds              [][]string
	}{
		{"replicas down", "rf3:balanced/3", "rf2:balanced/3", nil, factor[:2]},
		{"replicas up", "rf2:balanced/3", "rf3:balanced/3", factor[1], factor[2:]},
		{"strategy", "rf3:balanced/3", "rf3:rendezvous/4", nil, strategy},
	} {
		t.Run(change.name, func(t *testing.T) {
			t.Parallel()
			n1 := startNode(t, binary, 1, change.begin...)
			nodes := []*node{n1}
			for number := 2; number <= 3; number++ {
				nodes = append(nodes, startNode(t, binary, number, slices.Concat([]string{"-join", n1.gossip}, change.begin)...))
			}
			awaitAgreed(t, joinLimit, nodes...)
			awaitConfiguration(t, change.before, nodes...)
			for round, flags := range change.rounds {
				for i := range nodes {
					nodes[i].signal(syscall.SIGTERM)
					require.Equal(t, 0, nodes[i].exit(exitLimit))
					nodes[i] = startNode(t, binary, i+1, slices.Concat([]string{"-join", nodes[(i+1)%3].gossip}, flags)...)
					awaitAgreed(t, joinLimit, nodes...)
					if round == 0 && i < len(nodes)-1 {
						awaitConfiguration(t, change.before, nodes...) // not every member can run the new configuration yet
					} else {
						awaitConfiguration(t, change.after, nodes...)
					}
				}
			}
			requireSameOwners(t, nodes...)
		})
	}
}
