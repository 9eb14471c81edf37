//go:build linux

package process_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// testRoll changes the replication factor of a running cluster as the README of
// examples/node says: member by member, first accepting both.
func testRoll(t *testing.T, binary string) {
	nodes := startNodes(t, binary)
	restart := func(i int, args ...string) {
		t.Helper()
		nodes[i].signal(syscall.SIGTERM)
		require.Equal(t, 0, nodes[i].exit(exitLimit))
		nodes[i] = startNode(t, binary, i+1, append([]string{"-join", nodes[(i+1)%3].gossip}, args...)...)
		awaitAgreed(t, joinLimit, nodes...)
	}
	runs := func(want string) {
		t.Helper()
		awaitConfiguration(t, want, nodes...)
	}
	runs("rf3:balanced/1")
	for i := range nodes {
		restart(i, "-replicas", "2", "-accept", "rf3/balanced")
		if i < len(nodes)-1 {
			runs("rf3:balanced/1") // not everybody can run the other one yet
		}
	}
	runs("rf2:balanced/1")
	for i := range nodes {
		restart(i, "-replicas", "2")
		runs("rf2:balanced/1")
	}
	for _, owners := range requireSameOwners(t, nodes...) {
		require.Len(t, owners, 2)
	}
}
