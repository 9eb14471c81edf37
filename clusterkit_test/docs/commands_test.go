package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// covered says which test does what a command of the documentation does, with
// addresses of its own. Every other command must stand in the gate, .ci/run.
var covered = []struct {
	command *regexp.Regexp
	test    string
}{
	{regexp.MustCompile(`^(CLUSTERKIT_KEY=\$\(cat gossip\.key\) )?go run \./examples/node `), "TestProcesses"},
	{regexp.MustCompile(`^curl .*/(v1|kv)/`), "TestProcesses"},
	{regexp.MustCompile(`^go run \./examples/kv member `), "TestProcesses"},
	{regexp.MustCompile(`^go run \./examples/(cache|kv|workers|zonerouter)$`), "TestProcesses"},
	{regexp.MustCompile(`^go run \./examples/quickstart -serve$`), "TestProcesses"},
	{regexp.MustCompile(`^go run \./examples/<name>$`), "TestExamples"},
	{regexp.MustCompile(`^cd examples/otel && go run \.$`), "TestATraceFollowsAForwardedRequest"},
	{regexp.MustCompile(`^go run \./bench placement$`), ""}, // takes minutes: the gate has it with -quick
	{regexp.MustCompile(`^(go run \./bench lookup( .*)?|make performance)$`), "TestLookupReport"},
	{regexp.MustCompile(`^go test (-run '\^\$' )?-bench\b`), ""}, // the gate runs every benchmark once
	{regexp.MustCompile(`^go (run|test) -C bench/peers `), ""},   // the gate runs the module's tests, which run the report
	{regexp.MustCompile(`^go test -short \./\.\.\.$`), ""},       // the gate runs all of it without -short
	{regexp.MustCompile(`^go test \./cluster/internal/handoff -run Scenario -rewrite$`), "TestScenarios"},
	{regexp.MustCompile(`^go doc `), "TestDocumentationOfTypes"},
	{regexp.MustCompile(`^openssl rand -hex 32$`), "TestSecurityCommands"},
	{regexp.MustCompile(`^bash \.ci/run$`), ""},    // is the gate
	{regexp.MustCompile(`^make (race|lint)$`), ""}, // in the gate by their own names
}

var (
	prompted = regexp.MustCompile(`(?m)^\$ (.*)$`)
	inText   = regexp.MustCompile("`((?:go\\s(?:run|test|doc)|bash|make|curl|promtool|openssl)\\s[^`]*)`")
	remark   = regexp.MustCompile(`\s+# .*$`)
)

// TestDocumentationCommands sees to it that what the documentation tells readers
// to type is typed by a test or by the gate.
func TestDocumentationCommands(t *testing.T) {
	gate, err := os.ReadFile(filepath.Join(documents.Root(t), ".ci", "run"))
	require.NoError(t, err)
	tests := testNames(t)
	found := 0
	for name, content := range documents.Read(t) {
		commands := prompted.FindAllStringSubmatch(content, -1)
		unfenced := documents.Fence.ReplaceAllString(content, "")
		commands = append(commands, documents.Indented.FindAllStringSubmatch(unfenced, -1)...)
		commands = append(commands, inText.FindAllStringSubmatch(unfenced, -1)...)
		for _, c := range commands {
			found++
			command := strings.ReplaceAll(remark.ReplaceAllString(c[1], ""), "\n", " ")
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

// TestDocumentationOfTypes asks for what the documentation leaves to go doc.
func TestDocumentationOfTypes(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go doc")
	}
	asked := 0
	for name, content := range documents.Read(t) {
		for _, c := range inText.FindAllStringSubmatch(content, -1) {
			args := strings.Fields(c[1])
			if args[0] != "go" || args[1] != "doc" {
				continue
			}
			asked++
			cmd := exec.CommandContext(t.Context(), "go", args[1:]...)
			cmd.Dir = documents.Root(t)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %q: %s", name, c[1], out)
		}
	}
	require.NotZero(t, asked)
}

// TestExamples sees to it that every example has a page of its own that fits a
// screen, whose first command runs it, and that the README leads to it.
func TestExamples(t *testing.T) {
	docs := documents.Read(t)
	programs, err := filepath.Glob(filepath.Join(documents.Root(t), "examples", "*", "main.go"))
	require.NoError(t, err)
	require.NotEmpty(t, programs)
	for _, program := range programs {
		name := filepath.Base(filepath.Dir(program))
		page := docs["examples/"+name+"/README.md"]
		require.True(t, strings.HasPrefix(page, "# "+name+"\n"), "examples/%s has no README.md with its name", name)
		require.LessOrEqual(t, strings.Count(page, "\n"), 60, "examples/%s/README.md does not fit a screen", name)
		first := documents.Indented.FindStringSubmatch(documents.Fence.ReplaceAllString(page, ""))
		require.NotNil(t, first, "examples/%s/README.md has no command", name)
		require.Regexp(t, `^(go run \./examples/`+name+`\b|cd examples/`+name+` && go run \.$)`, first[1])
		require.Contains(t, docs["README.md"], "\n| ["+name+"](examples/"+name+"/README.md) | ")
	}
}

// testNames are the names of all tests of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, content := range documents.Tests(t) {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(content, -1) {
			names[m[1]] = true
		}
	}
	return names
}
