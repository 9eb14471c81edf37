package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

var (
	spans   = regexp.MustCompile("`[^`]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)

	problem   = regexp.MustCompile(`(?m)^\tProblem\w+ += "([a-z-]+)"`)
	namedTest = regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w+)`")

	mapped    = regexp.MustCompile("^### `([^`]+)`$")
	mappedRow = regexp.MustCompile("^\\| `([^`]+\\.go)` \\| \\S")
	inMap     = regexp.MustCompile(`^(cluster|membership|transport|clusterkit_test)/`)

	prompted = regexp.MustCompile(`(?m)^\$ (.*)$`)
	inText   = regexp.MustCompile("`((?:go\\s(?:run|test|doc)|bash|make|curl|promtool|openssl)\\s[^`]*)`")
	remark   = regexp.MustCompile(`\s+# .*$`)
)

// anchors returns the names by which links can refer to a document's headings.
func anchors(content string) map[string]bool {
	found := make(map[string]bool)
	for _, h := range heading.FindAllStringSubmatch(documents.Fence.ReplaceAllString(content, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, h[1])
		name := slug
		for i := 1; found[name]; i++ {
			name = fmt.Sprint(slug, "-", i)
		}
		found[name] = true
	}
	return found
}

// TestDocumentationLinks checks every link of the documentation into the repository,
// and its anchor. It also checks that every test that the documentation names exists.
func TestDocumentationLinks(t *testing.T) {
	docs, tests, followed := documents.Read(t), "", 0
	for _, source := range documents.Files(t, "_test.go") {
		tests += source
	}
	for from, content := range docs {
		for _, m := range namedTest.FindAllStringSubmatch(content, -1) {
			require.Positive(t, strings.Index(tests, "\nfunc "+m[1]+"("), "%s names %s: no such test", from, m[1])
		}
		text := spans.ReplaceAllString(documents.Fence.ReplaceAllString(content, ""), "")
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(l[1], "#")
			to := from
			if file != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(from), file))
			}
			_, err := os.Stat(filepath.Join(documents.Root(t), to))
			require.NoError(t, err, "%s links to %s", from, l[1])
			require.True(t, anchor == "" || anchors(docs[to])[anchor], "%s links to %s: no such heading", from, l[1])
		}
	}
	require.Greater(t, followed, 20)
}

// TestPagesAreComplete requires in docs/handoff.md a link to each scenario of the state
// machine and the code of the example.
func TestPagesAreComplete(t *testing.T) {
	root, page := os.DirFS(documents.Root(t)), documents.Read(t)["docs/handoff.md"]
	files, err := fs.Glob(root, "cluster/internal/handoff/testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.Contains(t, page, "](../"+file+")")
	}
	_, code, _ := strings.Cut(documents.Files(t, "example_mover_test.go")["cluster/example_mover_test.go"], "\n)\n\n")
	code, _, printed := strings.Cut(code, "\t// Output:\n")
	require.True(t, printed)
	require.Contains(t, page, "```go\n"+code+"}\n```\n")
}

// TestProblemsAreComplete requires of each problem of health:
//
//   - a series of the metric,
//   - a row in docs/troubleshooting.md that names the test which causes the problem,
//   - the code in docs/metrics.md, if the problem has no constant.
//
// Tests of the two logs require a line for each problem.
func TestProblemsAreComplete(t *testing.T) {
	declared := make(map[string]bool)
	for _, c := range problem.FindAllStringSubmatch(documents.Files(t, "health.go")["transport/api/health.go"], -1) {
		declared[c[1]] = true
	}
	require.Greater(t, len(declared), 10)
	c, err := cluster.New(cluster.Options{ClusterName: "orders", NodeID: "n1", GossipAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	metrics, pages := c.Metrics().Problems, documents.Read(t)
	for code := range declared {
		require.Contains(t, metrics, code)
	}
	for code := range metrics {
		_, row, found := strings.Cut(pages["docs/troubleshooting.md"], "\n| `"+code+"` |")
		require.True(t, found, "problem %s has no row", code)
		row, _, _ = strings.Cut(row, "\n")
		row = strings.TrimSuffix(row, " |")
		require.Regexp(t, namedTest, row[strings.LastIndex(row, " | "):], "problem %s names no test", code)
		if !declared[code] {
			require.Contains(t, pages["docs/metrics.md"], "`"+code+"`", "problem %s", code)
		}
	}
}

// TestOperationsPage finds each piece of Go of docs/operations.md in the test that runs it.
func TestOperationsPage(t *testing.T) {
	docs, run := documents.Read(t), documents.Files(t, "operations_test.go")["cluster/operations_test.go"]
	pieces := goBlock.FindAllStringSubmatch(docs["docs/operations.md"], -1)
	require.Len(t, pieces, 12)
	for _, piece := range pieces {
		lines := "\n\t" + strings.ReplaceAll(strings.TrimSuffix(piece[1], "\n"), "\n", "\n\t") + "\n"
		require.Contains(t, run, lines, "a test must run it")
	}
}

// TestFileMap compares the file map of docs/architecture.md with the directories. Every
// file except tests is in it once, and every file in it exists.
func TestFileMap(t *testing.T) {
	_, text, found := strings.Cut(documents.Read(t)["docs/architecture.md"], "\n## File map\n")
	require.True(t, found, "docs/architecture.md has no file map")
	text, _, _ = strings.Cut(text, "\n## ")
	var in, there []string
	dir := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if heading := mapped.FindStringSubmatch(line); heading != nil {
			dir = heading[1]
		}
		if row := mappedRow.FindStringSubmatch(line); row != nil {
			in = append(in, path.Join(dir, row[1]))
		}
	}
	for name := range documents.Files(t, ".go") {
		if inMap.MatchString(name) && !strings.HasSuffix(name, "_test.go") {
			there = append(there, name)
		}
	}
	require.ElementsMatch(t, there, in, "docs/architecture.md, in list B, does not name the files that there are, in list A")
}

// TestPerformancePages requires that every cell in the tables of docs/performance.md is
// in the table of docs/performance with the same title, row and column. The README has
// five cells.
func TestPerformancePages(t *testing.T) {
	docs, measured := documents.Read(t), make(map[string]string)
	for section := range strings.SplitSeq(docs["docs/performance/lookup.md"]+docs["docs/performance/peers.md"], "\n### ") {
		title, table, _ := strings.Cut(section, "\n\n")
		rows := strings.Split(table, "\n")
		for _, row := range rows[1:] {
			cells := documents.Cells(row)
			for i, column := range documents.Cells(rows[0])[:len(cells)] {
				if key := title + "/" + cells[0] + "/" + column; measured[key] == "" { // the second column "quartiles" is of ratios
					measured[key] = cells[i]
				}
			}
		}
	}
	for _, s := range documents.HeldBy(t, t.Name()) {
		if s.Document == "README.md" {
			calls, batches := "Calls to a cluster of 50 members, hot keys of 16 bytes/", "Batches: a million keys in random order of 16 bytes, a key/"
			for i, key := range []string{
				calls + "primary//floor", calls + "primary, partition kept by the caller//floor", calls + "three replicas, All//floor",
				calls + "batch of 1024 by owner, a key//floor", batches + "Group, 1024 keys//reference",
			} {
				require.Equal(t, measured[key], documents.Cells(s.Lines[2])[i], "%v: %s", s, key)
			}
			continue
		}
		title := strings.TrimPrefix(strings.Split(docs[s.Document], "\n")[s.Line-3], "### ")
		for _, line := range s.Lines[2:] {
			cells := documents.Cells(line)
			for i, column := range documents.Cells(s.Lines[0])[1:] {
				require.Equal(t, measured[title+"/"+cells[0]+"/"+column], cells[i+1], "%v: %q, %s", s, cells[0], column)
			}
		}
	}
}

// covered matches commands of the documentation that a test runs in another form. Every
// other command is in .ci/run.
var covered = regexp.MustCompile(`^(` + strings.Join([]string{
	`(CLUSTERKIT_KEY=\$\(cat gossip\.key\) )?go run \./examples/node .*`, // package process, these six
	`curl .*/(v1|kv|echo)/.*`,
	`go run \./examples/kv member .*`,
	`go run \./examples/(cache|kv|workers|zonerouter|<name>)`,
	`go run \./examples/quickstart -serve`,
	`cd examples/(grpc|otel) && go run \.`,     // the tests of their modules
	`go run \./bench (lookup|placement)( .*)?`, // .ci/run, with -quick; the tests of bench
	`make (performance|race|lint|simulate)`,
	`CLUSTERKIT_DETECTION=(brief|full) go test .*`,               // the tests of that package, in a short form
	`go test (-run '\^\$' )?-bench.*`,                            // .ci/run, one iteration each
	`go (run|test) -C bench/peers .*`,                            // the tests of its module
	`clusterctl .*`,                                              // the tests of its module
	`go test -short \./\.\.\.`,                                   // .ci/run, without -short
	`go test \./cluster/internal/handoff -run Scenario -rewrite`, // TestScenarios there
	`openssl rand -hex 32`,                                       // TestSecurityCommands
	`bash \.ci/run`,
	`go (get|list -m) github\.com/clusterkit/clusterkit@v0\.1\.0`, // works when the release is out
	`go list -deps .*`,                                            // TestTheNoticeListsTheModules
}, "|") + `)$`)

// TestDocumentationCommands checks that a test or .ci/run runs each command of the
// documentation. It runs the go doc commands itself.
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
			case strings.HasPrefix(command, "go doc "), name == "docs/security.md" || name == "docs/operations.md": // TestSecurityCommands; testOperations and testRoll of package process
			default:
				require.True(t, strings.Contains(string(gate), "\n"+command+"\n") || covered.MatchString(command),
					"%s: nothing runs %q: put it into .ci/run, or into covered beside the test that does the same", name, command)
			}
		}
	}
	require.Greater(t, found, 10)
}

// TestTheNoticeListsTheModules that a program links which imports the library. Those of its
// tests do not count.
func TestTheNoticeListsTheModules(t *testing.T) {
	notice, err := os.ReadFile(filepath.Join(documents.Root(t), "NOTICE"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cluster")
	cmd.Dir = documents.Root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	linked := make(map[string]bool)
	for module := range strings.FieldsSeq(string(out)) {
		linked[module] = true
	}
	listed, _, _ := strings.Cut(string(notice), "A program that imports only")
	for line := range strings.SplitSeq(listed, "\n") {
		if module, ok := strings.CutPrefix(line, "  "); ok {
			require.True(t, linked[module], "%s is not linked", module)
			delete(linked, module)
		}
	}
	require.Empty(t, linked, "the NOTICE lacks them")
}

// TestDocumentedOutputs checks that one test compares each block of output that a
// document shows.
func TestDocumentedOutputs(t *testing.T) {
	for _, s := range documents.Outputs(t) {
		require.True(t, len(s.Tests) == 1 || s.Lines[0][0] == '|', "%v shows %q: name one test in documents.holders that compares it with what is printed", s, s.Lines[0])
	}
}
