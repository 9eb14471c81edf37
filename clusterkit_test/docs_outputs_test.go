package clusterkit_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shown is something that a document says that a program prints: a block of
// output, or a table of results.
type shown struct {
	document string
	line     int // of the first of its lines
	lines    []string
}

func (s shown) String() string { return fmt.Sprintf("%s:%d", s.document, s.line) }

// held says which test holds what a document shows against what is so. A block
// is known by how its first line begins; an entry may be about several.
var held = []struct{ document, begins, test string }{
	{"README.md", "2. n2 crashes", "TestProcesses/quickstart"},
	{"README.md", "$ curl -s '127.0.0.1:8080/v1/lookup", "TestDocumentedAnswers"},
	{"README.md", "| strategy | fullest", "TestPlacementPages"},
	{"README.md", "| primary | its partition kept", "TestPerformancePages"},
	{"docs/operations.md", "| profile | members | packets/s", "TestDocumentedTraffic"},
	{"docs/operations.md", "| | LAN | WAN | Local |", "TestDocumentedTimings"},
	{"docs/performance.md", "|  | ", "TestPerformancePages"},
	{"docs/performance.md", "| million operations a second", "TestPerformancePages"},
	{"docs/placement.md", "| members | ", "TestPlacementPages"},
	{"examples/cache/README.md", "3. n2 is killed", "TestProcesses/cache"},
	{"examples/kv/README.md", "5. kill -9", "TestProcesses/kv"},
	{"examples/otel/README.md", "ask ", "TestATraceFollowsAForwardedRequest"},
	{"examples/workers/README.md", "2. n4 joins", "TestProcesses/workers"},
	{"examples/zonerouter/README.md", "3. Zone c is killed", "TestProcesses/zonerouter"},
}

// TestDocumentedOutputs sees to it that everything that a document shows as
// printed is held against what is printed, by one test.
func TestDocumentedOutputs(t *testing.T) {
	sources := testSources(t)
	blocks := make([]int, len(held))
	docs := documents(t)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		for _, s := range outputs(name, docs[name]) {
			var by []string
			for i, h := range held {
				if h.document == s.document && strings.HasPrefix(s.lines[0], h.begins) {
					by = append(by, h.test)
					blocks[i]++
				}
			}
			assert.Len(t, by, 1, "%v shows %q: one test must hold it against what is printed, and be named in held", s, s.lines[0])
		}
	}
	for i, h := range held {
		assert.NotZero(t, blocks[i], "%s shows nothing that begins with %q", h.document, h.begins)
		assert.True(t, reads(sources, h.test, h.document), "%s does not look at what %s shows", h.test, h.document)
	}
}

// reads reports whether a test looks at a document: by requireShown or heldBy, or
// by its name.
func reads(sources map[string]string, test, document string) bool {
	function, part, isPart := strings.Cut(test, "/")
	for _, source := range sources {
		if isPart {
			// A table of the parts says which function each is.
			if named := regexp.MustCompile(`"` + part + `": +(\w+)[,}]`).FindStringSubmatch(source); named != nil {
				function = named[1]
			}
		}
	}
	for _, source := range sources {
		_, body, found := strings.Cut(source, "\nfunc "+function+"(t *testing.T")
		body, _, _ = strings.Cut(body, "\n}\n")
		if found && (strings.Contains(body, "requireShown(t") || strings.Contains(body, "heldBy(t") || strings.Contains(body, filepath.Base(document)+`"`)) {
			return true
		}
	}
	return false
}

// testSources are the files with tests of the repository, by path.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	sources := make(map[string]string)
	require.NoError(t, filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		sources[path] = string(content)
		return err
	}))
	return sources
}

var (
	// languages are those of blocks that show no output; who else looks at them
	// is said where there is anybody.
	languages = map[string]bool{"go": true /* TestDocumentationCompiles */, "mermaid": true, "yaml": true /* testPrometheus */}

	separator = regexp.MustCompile(`^\|[-:| ]+\|$`)
	figure    = regexp.MustCompile(`^[0-9][0-9.,]*([,/ –]+[0-9.,]+)?( ?(%|ns|µs|ms|s|bytes|KiB|MiB))?$`)
)

// outputs finds what a document shows as printed: blocks that are not of a
// language, of indented ones what is not a command, and tables in which a good
// part of the cells are figures.
func outputs(name, content string) (found []shown) {
	var block shown
	language, fenced := "", false
	end := func(is bool) {
		if is && len(block.lines) > 0 {
			found = append(found, block)
		}
		block = shown{document: name}
	}
	end(false)
	for i, line := range strings.Split(content, "\n") {
		begins := strings.HasPrefix(line, "```")
		switch {
		case begins && fenced:
			end(!languages[language] && (language != "console" || hasOutput(block.lines)))
			fenced = false
			continue
		case begins:
			language, fenced = strings.TrimPrefix(line, "```"), true
			continue
		case fenced:
		case strings.HasPrefix(line, "    ") && !indented.MatchString(line):
			line = strings.TrimPrefix(line, "    ")
		case strings.HasPrefix(line, "|"):
		default:
			end(len(block.lines) > 0 && (block.lines[0][0] != '|' || isResults(block.lines)))
			continue
		}
		if len(block.lines) == 0 {
			block.line = i + 1
		}
		block.lines = append(block.lines, line)
	}
	end(isResults(block.lines))
	return found
}

// hasOutput reports whether a block of a console shows more than commands, which
// may go on in lines that are indented.
func hasOutput(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return line != "" && !strings.HasPrefix(line, "$ ") && !strings.HasPrefix(line, "    ")
	})
}

// isResults reports whether a third of the cells beside the first column are
// figures.
func isResults(lines []string) bool {
	if len(lines) < 3 || !separator.MatchString(lines[1]) {
		return false
	}
	some, all := 0, 0
	for _, line := range lines[2:] {
		for _, cell := range cells(line)[1:] {
			all++
			if figure.MatchString(cell) {
				some++
			}
		}
	}
	return 3*some >= all
}

// cells are those of a row.
func cells(row string) []string {
	parts := strings.Split(strings.Trim(row, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// heldBy finds what a test has to hold.
func heldBy(t *testing.T, test string) (blocks []shown) {
	t.Helper()
	docs := documents(t)
	for _, h := range held {
		if h.test != test {
			continue
		}
		for _, s := range outputs(h.document, docs[h.document]) {
			if strings.HasPrefix(s.lines[0], h.begins) {
				blocks = append(blocks, s)
			}
		}
	}
	require.NotEmpty(t, blocks, "no document shows what %s has to hold", test)
	return blocks
}

// What is output is found, also where it is not in a block.
func TestOutputsOfADocument(t *testing.T) {
	const page = "# Page\n\n    go run ./x\n\n```text\n1. it runs\n```\n\n```go\nx := 1\n```\n\n" +
		"```console\n$ openssl rand \\\n    -hex 32\n```\n\n```console\n$ curl x\n{}\n```\n\n    ask    somebody\n\n```\nwhat is it\n```\n\n" +
		"| what | it costs |\n|---|---|\n| all | 1.00 |\n| none | 3 ms |\n\n| file | about |\n|---|---|\n| a | 3 of them |\n"
	var lines []string
	for _, s := range outputs("page.md", page) {
		lines = append(lines, fmt.Sprint(s.line, ": ", s.lines[0]))
	}
	require.Equal(t, []string{"6: 1. it runs", "19: $ curl x", "23: ask    somebody", "26: what is it", "29: | what | it costs |"}, lines)
}
