//go:build linux

package process_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
)

// TestMixedVersions runs members of the previous release beside members of this release, and requires
// that all members agree. Then it upgrades the cluster to the default strategy of this release without an
// interruption. Before the first release, the first commit that had the program stands for the previous
// release.
func TestMixedVersions(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds another release and starts processes")
	}
	old := buildRelease(t, previousRelease(t))
	binary := example(t, "node")

	n1 := startNode(t, old, 1, "-strategy", "rendezvous")
	nodes := []*node{
		n1,
		startNode(t, binary, 2, "-join", n1.gossip, "-strategy", "rendezvous/1"),
		startNode(t, old, 3, "-join", n1.gossip, "-strategy", "rendezvous"),
	}
	awaitAgreed(t, joinLimit, nodes...)
	requireSameOwners(t, nodes...)

	for i := range nodes {
		nodes[i].signal(syscall.SIGTERM)
		require.Equal(t, 0, nodes[i].exit(exitLimit))
		nodes[i] = startNode(t, binary, i+1, "-join", nodes[(i+1)%3].gossip, "-strategy", "balanced", "-accept", "rf3/rendezvous/1")
		awaitAgreed(t, joinLimit, nodes...)
		requireSameOwners(t, nodes...)
		want := "rf3:rendezvous/1"
		if i == len(nodes)-1 {
			want = "rf3:balanced/3"
		}
		awaitConfiguration(t, want, nodes...)
	}
	requireSameOwners(t, nodes...)
}

// awaitConfiguration waits until members run a configuration.
func awaitConfiguration(t *testing.T, want string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, n.id+" runs "+want, joinLimit, func() error {
			var answer api.Ring
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

// previousRelease returns the last tag before this commit. Without a tag it returns the first commit of
// examples/node.
func previousRelease(t *testing.T) string {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", "../.."}, args...)...).Output()
		if err != nil {
			return ""
		}
		first, _, _ := strings.Cut(string(out), "\n")
		return first
	}
	if git("rev-parse", "--is-shallow-repository") != "false" {
		t.Skip("needs git and the whole history, to build the previous release")
	}
	if tag := git("describe", "--tags", "--abbrev=0", "HEAD^"); tag != "" {
		return tag
	}
	commit := git("log", "--reverse", "--diff-filter=A", "--format=%H", "--", "examples/node/main.go")
	require.NotEmpty(t, commit)
	return commit
}

// buildRelease builds examples/node of a release.
func buildRelease(t *testing.T, release string) string {
	t.Helper()
	source, binary := t.TempDir(), filepath.Join(t.TempDir(), "node")
	archive := filepath.Join(t.TempDir(), "source.tar")
	for _, args := range [][]string{
		{"git", "-C", "../..", "archive", "-o", archive, release},
		{"tar", "-xf", archive, "-C", source},
		{"go", "build", "-C", source, "-ldflags=-w", "-o", binary, "./examples/node"},
	} {
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%v:\n%s", args, out)
	}
	return binary
}
