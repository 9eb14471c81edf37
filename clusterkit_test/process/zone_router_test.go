//go:build linux

package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// testZoneRouter runs the example in its short form. The program itself checks that reads do not cross
// zones, and that no read fails. If a check fails, its exit status is not 0.
func testZoneRouter(t *testing.T, binary string) {
	out := runScenario(t, "zonerouter", binary, "-short")
	requireLines(t, out,
		`n6 +c +http://127\.0\.0\.1:[0-9]+/kv/`,
		`every key has three owners, one in each zone`,
		`on +[0-9]+ +0\.0 % +[0-9.]+ ms +[0-9.]+ ms`,
		`off +[0-9]+ +[5-7][0-9]\.[0-9] % +[0-9.]+ ms +[0-9.]+ ms`,
		`n5 and n6 are gone; no other member was told`,
		`\+[0-9.]+s  the four that are left have noticed, and agree`,
		`reads +[1-9][0-9]* +0 +[0-9.]+ ms  went to another zone at once`,
		`writes +[1-9][0-9]* +0 +[0-9.]+ ms  waited for their new primary`,
		`All of it held, in [0-9.]+ seconds`,
	)
	documents.RequireShown(t, out, documents.Figures...)
	require.Equal(t, 2, strings.Count(out, " 0.0 % "), "with the preference on, before and after")
}

// testZoneRouterEnds requires that no member outlives the command, also when the command is killed.
func testZoneRouterEnds(t *testing.T, binary string) {
	p := run(t, "zonerouter", binary, "-short")
	var members []string
	eventually(t, "six members are up", joinLimit, func() error {
		members = childrenOf(t, p.cmd.Process.Pid)
		if !strings.Contains(p.stdout.String(), "They agree") {
			return fmt.Errorf("%d members", len(members))
		}
		return nil
	})
	require.Len(t, members, 6)
	p.kill()
	for _, pid := range members {
		eventually(t, pid+" has ended", exitLimit, func() error {
			// A process that has ended has no command line any more, even
			// before its parent waits for it.
			line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
			if err == nil && strings.HasPrefix(string(line), binary+"\x00") {
				return fmt.Errorf("%q is still there", line)
			}
			return nil
		})
	}
}

// childrenOf lists the processes that a process has started, by their numbers.
func childrenOf(t *testing.T, parent int) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the process has just ended
		}
		// pid (name) state ppid ...
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}
