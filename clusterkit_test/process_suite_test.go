//go:build linux

package clusterkit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProcesses runs the programs in examples as a user does: as processes of
// their own, which talk over real sockets and can be killed.
func TestProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes and waits for crashes to be noticed")
	}
	binaries := buildExamples(t, "node", "quickstart", "cache", "workers", "zonerouter", "kv")
	for name, test := range map[string]func(*testing.T, string){
		"members agree, byte for byte":                 testAgreement,
		"a killed member is replaced, and comes back":  testKill,
		"a member that is asked to go says goodbye":    testLeave,
		"a member that is stopped for a while is back": testPause,
		"another factor is rolled out, one by one":     testRoll,
		"a member of another cluster is refused":       testRefused,
		"a mistake in the flags says which":            testMistakes,
		"prometheus scrapes a cluster":                 testPrometheus,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, filepath.Join(binaries, "node"))
		})
	}
	for name, test := range map[string]func(*testing.T, string){
		"quickstart":                    testQuickstart,
		"quickstart serves until asked": testQuickstartServes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, filepath.Join(binaries, "quickstart"))
		})
	}
	for name, test := range map[string]func(*testing.T, string){
		"zonerouter":                         testZoneRouter,
		"zonerouter leaves no member behind": testZoneRouterEnds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, filepath.Join(binaries, "zonerouter"))
		})
	}
	for name, test := range map[string]func(*testing.T, string){
		"kv":         testKV,
		"kv by hand": testKVByHand,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, filepath.Join(binaries, "kv"))
		})
	}
	for name, test := range map[string]func(*testing.T, string){"cache": testCache, "workers": testWorkers} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, filepath.Join(binaries, name))
		})
	}
}

// buildExamples builds programs and returns the directory they are in.
func buildExamples(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", dir + string(os.PathSeparator)}
	for _, name := range names {
		args = append(args, "../examples/"+name)
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "go %v:\n%s", args, out)
	return dir
}
