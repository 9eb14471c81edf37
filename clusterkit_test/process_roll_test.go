//go:build linux

package clusterkit_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
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
		for _, n := range nodes {
			eventually(t, n.id+" runs "+want, joinLimit, func() error {
				var answer transport.RingAnswer
				body, err := n.get("/v1/ring")
				if err == nil {
					err = json.Unmarshal(body, &answer)
				}
				if err == nil && answer.Configuration != want {
					err = fmt.Errorf("it runs %q", answer.Configuration)
				}
				return err
			})
		}
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
