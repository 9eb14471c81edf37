package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

var (
	spans   = regexp.MustCompile("`[^`]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// anchors are what links to a document's headings may name.
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

// TestDocumentationLinks follows every link of the documentation into the repository,
// and its anchor.
func TestDocumentationLinks(t *testing.T) {
	docs := documents.Read(t)
	followed := 0
	for from, content := range docs {
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

// TestNamedTestsExist finds every test that the documentation names.
func TestNamedTestsExist(t *testing.T) {
	var tests strings.Builder
	for _, source := range documents.Files(t, "_test.go") {
		tests.WriteString(source)
	}
	for name, content := range documents.Read(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(content, -1) {
			require.Contains(t, tests.String(), "\nfunc "+m[1]+"(", "%s: there is no such test", name)
		}
	}
}

// TestHandoffPageIsComplete finds a link to each scenario of the state machine in
// docs/handoff.md, and the code of the example that is run.
func TestHandoffPageIsComplete(t *testing.T) {
	root, page := documents.Root(t), documents.Read(t)["docs/handoff.md"]
	files, err := filepath.Glob(filepath.Join(root, "cluster", "internal", "handoff", "testdata", "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.Contains(t, page, "](../cluster/internal/handoff/testdata/"+filepath.Base(file)+")")
	}
	source, err := os.ReadFile(filepath.Join(root, "cluster", "example_mover_test.go"))
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(source), "\n)\n\n")
	code, _, printed := strings.Cut(code, "\t// Output:\n")
	require.True(t, printed)
	require.Contains(t, page, "```go\n"+code+"}\n```\n")
}

// TestProblemsAreExplained finds every code of a problem in docs/troubleshooting.md.
func TestProblemsAreExplained(t *testing.T) {
	page := documents.Read(t)["docs/troubleshooting.md"]
	source, err := os.ReadFile(filepath.Join(documents.Root(t), "transport", "api", "health.go"))
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\tProblem\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 10)
	for _, c := range codes {
		require.Contains(t, page, "\n| `"+c[1]+"` |", "problem %s", c[1])
	}
}
