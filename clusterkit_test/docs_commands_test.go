package clusterkit_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// covered says which test does what a command of the documentation does, with
// addresses of its own. Every other command must stand in the gate, .ci/run.
var covered = []struct {
	command *regexp.Regexp
	test    string
}{
	{regexp.MustCompile(`^(CLUSTERKIT_KEY=\S+ )?go run \./examples/node `), "TestProcesses"},
	{regexp.MustCompile(`^curl .*/(v1|kv)/`), "TestProcesses"},
	{regexp.MustCompile(`^go run \./examples/kv member `), "TestProcesses"},
	{regexp.MustCompile(`^go run \./examples/(cache|kv|workers|zonerouter)$`), "TestProcesses"},
	{regexp.MustCompile(`^go run \./bench placement$`), ""}, // takes minutes: the gate has it with -quick
	{regexp.MustCompile(`^(go run \./bench lookup( .*)?|make performance)$`), "TestLookupReport"},
	{regexp.MustCompile(`^go (run|test) -C bench/peers `), ""}, // the gate runs the module's tests, which run the report
	{regexp.MustCompile(`^bash \.ci/run$`), ""},                // is the gate
	{regexp.MustCompile(`^make (race|lint)$`), ""},             // in the gate by their own names
}

var (
	indented = regexp.MustCompile(`(?m)^    ((?:[A-Z_]+=\S+ )?(?:go|bash|make|curl|promtool|openssl) .*)$`)
	prompted = regexp.MustCompile(`(?m)^\$ (.*)$`)
	remark   = regexp.MustCompile(`\s+# .*$`)
)

// TestDocumentationCommands sees to it that what the documentation tells readers
// to type is typed by a test or by the gate.
func TestDocumentationCommands(t *testing.T) {
	gate, err := os.ReadFile(filepath.Join("..", ".ci", "run"))
	require.NoError(t, err)
	tests := testNames(t)
	found := 0
	for name, content := range documents(t) {
		commands := prompted.FindAllStringSubmatch(content, -1)
		commands = append(commands, indented.FindAllStringSubmatch(fence.ReplaceAllString(content, ""), -1)...)
		for _, c := range commands {
			found++
			command := remark.ReplaceAllString(c[1], "")
			if strings.Contains(string(gate), "\n"+command+"\n") || name == "docs/security.md" && tests["TestSecurityCommands"] {
				continue
			}
			test, known := "", false
			for _, rule := range covered {
				if rule.command.MatchString(command) {
					test, known = rule.test, true
					break
				}
			}
			require.True(t, known, "%s: nothing runs %q: put it into .ci/run, or name the test that does the same", name, command)
			require.True(t, test == "" || tests[test], "%s: %q: there is no test %s", name, command, test)
		}
	}
	require.Greater(t, found, 10)
}

// testNames are the names of all tests of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob("../*/*_test.go")
	require.NoError(t, err)
	deeper, err := filepath.Glob("../*/*/*_test.go")
	require.NoError(t, err)
	for _, file := range append(files, deeper...) {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(content), -1) {
			names[m[1]] = true
		}
	}
	return names
}
