//go:build linux

package process_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var ringChanges = regexp.MustCompile(`(?m)^clusterkit_ring_changes_total\{[^}]*\} (\d+)$`)

// changes returns how often the ring of a member has changed.
func (n *node) changes() (int, error) {
	body, err := n.get("/metrics")
	if err != nil {
		return 0, err
	}
	m := ringChanges.FindSubmatch(body)
	if m == nil {
		return 0, fmt.Errorf("%s: /metrics has no count of ring changes", n.id)
	}
	return strconv.Atoi(string(m[1]))
}

// A process that stands still for 8 of every 12 seconds, for 100 seconds, changes the rings of the others at
// most 4 times. The others name it.
func testThrottle(t *testing.T, binary string) {
	if os.Getenv("CLUSTERKIT_SIM_FULL") == "" {
		t.Skip("takes two minutes; CLUSTERKIT_SIM_FULL=1 runs it")
	}
	nodes := startNodes(t, binary)
	nodes = append(nodes, startNode(t, binary, 4, "-join", nodes[0].gossip), startNode(t, binary, 5, "-join", nodes[0].gossip))
	awaitAgreed(t, joinLimit, nodes...)
	slow, others := nodes[4], nodes[:4]
	before := make([]int, len(others))
	for i, n := range others {
		var err error
		before[i], err = n.changes()
		require.NoError(t, err)
	}
	tick := time.NewTicker(4 * time.Second)
	defer tick.Stop()
	for i := range 25 { // 100 seconds
		<-tick.C
		switch i % 3 {
		case 0:
			slow.signal(syscall.SIGSTOP)
		case 2:
			slow.signal(syscall.SIGCONT)
		}
	}
	slow.signal(syscall.SIGCONT)
	for i, n := range others {
		now, err := n.changes()
		require.NoError(t, err)
		require.LessOrEqual(t, now-before[i], 4, "%s", n.id)
		body, err := n.get("/metrics")
		require.NoError(t, err)
		require.Regexp(t, `clusterkit_problem\{[^}]*code="flapping"[^}]*\} 1`, string(body))
	}
	_, err := slow.health() // it observes; TestTheWaitAfterADeath waits until a member owns again
	require.ErrorContains(t, err, `"code":"declared-dead"`)
}
