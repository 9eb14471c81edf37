//go:build linux

package process_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func testAgreement(t *testing.T, binary string) {
	nodes := startNodes(t, binary)
	for _, owners := range requireSameOwners(t, nodes...) {
		slices.Sort(owners)
		require.Equal(t, []string{"n1", "n2", "n3"}, owners)
	}
	for _, n := range nodes {
		n.signal(syscall.SIGINT)
	}
	for _, n := range nodes {
		require.Equal(t, 0, n.exit(exitLimit), "%s", n.id)
	}
	requireFree(t, nodes...)
}

func testKill(t *testing.T, binary string) {
	nodes := startNodes(t, binary)
	original := awaitAgreed(t, joinLimit, nodes...)
	before := requireSameOwners(t, nodes...)

	victim, survivors := nodes[0], nodes[1:] // the other members joined through the victim
	victim.kill()
	without := awaitAgreed(t, noticeLimit, survivors...)
	require.NotEqual(t, original, without)
	for _, owners := range requireSameOwners(t, survivors...) {
		require.NotContains(t, owners, victim.id)
	}
	for _, n := range survivors {
		require.True(t, n.said("member-failed", victim.id), "%s", n.id)
	}
	requireFree(t, victim)

	again := startNode(t, binary, 1, "-join", survivors[0].gossip+","+survivors[1].gossip)
	require.NotEqual(t, victim.gossip, again.gossip)
	back := awaitAgreed(t, joinLimit, again, survivors[0], survivors[1])
	require.Equal(t, original, back)
	require.Equal(t, before, requireSameOwners(t, again, survivors[0], survivors[1]))
}

func testLeave(t *testing.T, binary string) {
	nodes := startNodes(t, binary)
	leaver, others := nodes[2], nodes[:2]
	leaver.signal(syscall.SIGINT)
	require.Equal(t, 0, leaver.exit(exitLimit))
	awaitAgreed(t, joinLimit, others...)
	for _, n := range others {
		eventually(t, n.id+" sees it left", joinLimit, func() error {
			if !n.said("member-left", leaver.id) {
				return errors.New("no such event")
			}
			return nil
		})
		require.False(t, n.said("member-failed", leaver.id), "%s", n.id)
	}
	for _, owners := range requireSameOwners(t, others...) {
		require.NotContains(t, owners, leaver.id)
	}
	requireFree(t, leaver)
}

func testPause(t *testing.T, binary string) {
	nodes := startNodes(t, binary)
	original := awaitAgreed(t, joinLimit, nodes...)
	before := requireSameOwners(t, nodes...)
	paused, others := nodes[2], nodes[:2]
	paused.signal(syscall.SIGSTOP)
	awaitAgreed(t, noticeLimit, others...)
	requireSameOwners(t, others...)

	paused.signal(syscall.SIGCONT)
	require.Equal(t, original, awaitAgreed(t, noticeLimit, nodes...))
	require.Equal(t, before, requireSameOwners(t, nodes...))
	paused.signal(syscall.SIGTERM)
	require.Equal(t, 0, paused.exit(exitLimit))
}

func testRefused(t *testing.T, binary string) {
	n1 := startNode(t, binary, 1)
	for _, test := range []struct{ args, want string }{
		{"-cluster other", "refused: belongs to another cluster: check the seed address, and ClusterName on both sides"},
		{"-partitions 64", "incompatible configuration: PartitionCount is 4096 there and 64 here"},
		{"-replicas 2", `incompatible configuration: Configurations is ["rf3:balanced/3"] there and ["rf2:balanced/3"] here`},
		{"-key 00112233445566778899aabbccddeeff", "refused: wrong or missing gossip key: the cluster is not encrypted and this member has a key"},
	} {
		joiner := run(t, "joiner", binary, append([]string{
			"-cluster", "test", "-id", "n2", "-profile", "local",
			"-gossip", "127.0.0.2:0", "-http", "127.0.0.2:0", "-join", n1.gossip,
		}, strings.Fields(test.args)...)...)
		require.Equal(t, 1, joiner.exit(joinLimit), test.args)
		lines := joiner.stderr.lines()
		last := lines[len(lines)-1]
		require.True(t, strings.HasPrefix(last, "node: "), last)
		require.Contains(t, last, test.want)
	}
	awaitAgreed(t, joinLimit, n1) // n1 knows no other member
}

func testMistakes(t *testing.T, binary string) {
	for _, test := range []struct{ args, want string }{
		{"", `node: -id: NodeID is "": must be 1 to 128 bytes`},
		{"-id n1 -gossip localhost:7946", `node: -gossip: GossipAddr is "localhost:7946": must be IP:port`},
		{"-id n1 -nonsense", "node: flag provided but not defined: -nonsense"},
	} {
		p := run(t, "node", binary, strings.Fields(test.args)...)
		require.Equal(t, 2, p.exit(exitLimit), test.args)
		require.True(t, strings.HasPrefix(p.stderr.String(), test.want), p.stderr.String())
	}
	taken := startNode(t, binary, 1)
	p := run(t, "node", binary, "-id", "n2", "-gossip", taken.gossip, "-http", "")
	require.Equal(t, 1, p.exit(exitLimit))
	require.Contains(t, p.stderr.String(), fmt.Sprintf("listening on %s", taken.gossip))
}
