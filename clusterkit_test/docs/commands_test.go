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

// covered matches commands of the documentation that a test runs in another form. Every
// other command stands in the gate, .ci/run.
var covered = regexp.MustCompile(`^(` + strings.Join([]string{
	`(CLUSTERKIT_KEY=\$\(cat gossip\.key\) )?go run \./examples/node .*`, // package process, these six
	`curl .*/(v1|kv)/.*`,
	`go run \./examples/kv member .*`,
	`go run \./examples/(cache|kv|workers|zonerouter|<name>)`,
	`go run \./examples/quickstart -serve`,
	`cd examples/otel && go run \.`,            // the tests of its module
	`go run \./bench (lookup|placement)( .*)?`, // the gate, with -quick; the tests of bench
	`make (performance|race|lint)`,
	`go test (-run '\^\$' )?-bench.*`,                           // the gate, one iteration each
	`go (run|test) -C bench/peers .*`,                            // the tests of its module
	`go test -short \./\.\.\.`,                                   // the gate, without -short
	`go test \./cluster/internal/handoff -run Scenario -rewrite`, // TestScenarios there
	`openssl rand -hex 32`,                                       // TestSecurityCommands
	`bash \.ci/run`,
}, "|") + `)$`)

var (
	prompted = regexp.MustCompile(`(?m)^\$ (.*)$`)
	inText   = regexp.MustCompile("`((?:go\\s(?:run|test|doc)|bash|make|curl|promtool|openssl)\\s[^`]*)`")
	remark   = regexp.MustCompile(`\s+# .*$`)
)

// TestDocumentationCommands checks that a test or the gate runs what the documentation
// tells readers to type. It runs what is asked of go doc itself.
func TestDocumentationCommands(t *testing.T) {
	gate, err := os.ReadFile(filepath.Join(documents.Root(t), ".ci", "run"))
	require.NoError(t, err)
	found := 0
	for name, content := range documents.Read(t) {
		commands := prompted.FindAllStringSubmatch(content, -1)
		unfenced := documents.Fence.ReplaceAllString(content, "")
		commands = append(commands, documents.Indented.FindAllStringSubmatch(unfenced, -1)...)
		commands = append(commands, inText.FindAllStringSubmatch(unfenced, -1)...)
		for _, c := range commands {
			found++
			command := strings.ReplaceAll(remark.ReplaceAllString(c[1], ""), "\n", " ")
			switch {
			case strings.HasPrefix(command, "go doc ") && !testing.Short():
				cmd := exec.CommandContext(t.Context(), "go", strings.Fields(command)[1:]...)
				cmd.Dir = documents.Root(t)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s: %q: %s", name, command, out)
			case name == "docs/security.md" || strings.HasPrefix(command, "go doc "): // TestSecurityCommands
			default:
				require.True(t, strings.Contains(string(gate), "\n"+command+"\n") || covered.MatchString(command),
					"%s: nothing runs %q: put it into .ci/run, or into covered beside the test that does the same", name, command)
			}
		}
	}
	require.Greater(t, found, 10)
}

// TestExamples checks that every example has a page of its own that fits a screen, whose
// first command runs it, and that the README links to it.
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

// TestDocumentedOutputs checks that each output that a document shows is compared with
// what is printed.
func TestDocumentedOutputs(t *testing.T) { documents.RequireHeld(t) }
