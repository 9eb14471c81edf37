//go:build linux

package process_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProcesses runs the programs in examples as a user does: as processes of their own, which use real
// sockets and can be killed.
func TestProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes and waits for crashes to be noticed")
	}
	for _, test := range []struct {
		name, example string
		run           func(*testing.T, string)
	}{ // the longest test first, because the tests begin in this order
		{"kv", "kv", testKV},
		{"the members of the Compose file", "node", testCompose},
		{"quickstart serves until asked", "quickstart", testQuickstartServes},
		{"quickstart", "quickstart", testQuickstart},
		{"cache", "cache", testCache},
		{"zonerouter", "zonerouter", testZoneRouter},
		{"workers", "workers", testWorkers},
		{"another factor is rolled out, one by one", "node", testRoll},
		{"UDP is blocked between namespaces", "node", testTCPOnly},
		{"prometheus scrapes a cluster", "node", testPrometheus},
		{"operations as documented", "node", testOperations},
		{"a member that is stopped for a while is back", "node", testPause},
		{"machines that pick the same address", "node", testSameAddress},
		{"a member that is stopped again and again", "node", testThrottle},
		{"a killed member is replaced, and comes back", "node", testKill},
		{"kv by hand", "kv", testKVByHand},
		{"zonerouter leaves no member behind", "zonerouter", testZoneRouterEnds},
		{"members agree, byte for byte", "node", testAgreement},
		{"a member that is asked to leave says so", "node", testLeave},
		{"a member of another cluster is refused", "node", testRefused},
		{"a mistake in the flags says which", "node", testMistakes},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, example(t, test.example))
		})
	}
}

// together is the least number of tests that run at the same time. The tests wait for processes most of
// the time.
const together = 6

// TestMain runs more tests at a time than there are processors. Afterwards it removes the programs that
// the tests have built.
func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < together && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", strconv.Itoa(together)) // a number is valid
	}
	status := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a directory of this process
	}
	os.Exit(status)
}

// built is the directory of the programs, or empty before the programs are built.
var built string

// build builds the programs of examples, once for all tests.
var build = sync.OnceValue(func() error {
	var err error
	if built, err = os.MkdirTemp("", "clusterkit"); err != nil {
		return err
	}
	if err = os.Chmod(built, 0o755); err != nil { // some tests run the programs as another user
		return err
	}
	args := []string{"build", "-ldflags=-w", "-o", built + string(os.PathSeparator)}
	for _, name := range []string{"node", "quickstart", "cache", "workers", "zonerouter", "kv"} {
		args = append(args, "../../examples/"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w:\n%s", args, err, out)
	}
	return nil
})

// example returns the program of an example.
func example(t *testing.T, name string) string {
	t.Helper()
	require.NoError(t, build())
	return filepath.Join(built, name)
}
