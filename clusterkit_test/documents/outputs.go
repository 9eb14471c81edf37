package documents

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Output is what a document shows as printed by a program: a block of output, or a
// table of results.
type Output struct {
	Document string
	Line     int // of the first of its lines
	Lines    []string
}

func (s Output) String() string { return fmt.Sprintf("%s:%d", s.Document, s.Line) }

// holders say which test compares an output of a document with what is printed. The
// first line of the output begins as given. A holder may stand for several outputs.
var holders = []struct{ document, begins, test string }{
	{"README.md", "2. n2 crashes", "TestProcesses/quickstart"},
	{"README.md", "$ curl -s '127.0.0.1:8080/v1/lookup", "TestDocumentedAnswers"},
	{"README.md", "| strategy | fullest", "TestPlacementPages"},
	{"README.md", "| primary | its partition kept", "TestPerformancePages"},
	{"docs/operations.md", "| profile | members | packets/s", "TestDocumentedTraffic"},
	{"docs/operations.md", "| | LAN | WAN | Local |", "TestDocumentedTimings"},
	{"docs/performance.md", "| ", "TestPerformancePages"},
	{"docs/placement.md", "| members | ", "TestPlacementPages"},
	{"examples/cache/README.md", "3. n2 is killed", "TestProcesses/cache"},
	{"examples/kv/README.md", "5. kill -9", "TestProcesses/kv"},
	{"examples/otel/README.md", "ask ", "TestATraceFollowsAForwardedRequest"},
	{"examples/workers/README.md", "2. n4 joins", "TestProcesses/workers"},
	{"examples/zonerouter/README.md", "3. Zone c is killed", "TestProcesses/zonerouter"},
}

var (
	// Separator matches the line between the head of a table and its rows.
	Separator = regexp.MustCompile(`^\|[-:| ]+\|$`)
	// Indented finds commands in indented blocks; the first group is the command.
	Indented = regexp.MustCompile(`(?m)^    ((?:[A-Z_]+=(?:\S+|\$\(.*?\)) )?(?:cd|go|bash|make|curl|promtool|openssl) .*)$`)
	// Fence finds fenced blocks.
	Fence = regexp.MustCompile("(?ms)^```.*?^```$")

	// block finds a fenced block, by language and lines, or a table.
	block  = regexp.MustCompile("(?m)^```(\\w*)\n((?:[^`].*\n|\n)*)^```$|^((?:\\|.*\n)+)")
	figure = regexp.MustCompile(`^[0-9][0-9.,]*([,/ –]+[0-9.,]+)?( ?(%|ns|µs|ms|s|bytes|KiB|MiB))?$`)
)

// outputs finds what a document shows as printed: blocks of text, consoles that show
// more than commands, and tables in which a third of the cells are figures.
func outputs(name, content string) (found []Output) {
	for _, m := range block.FindAllStringSubmatchIndex(content+"\n", -1) {
		from, is, fenced := m[6], isResults, m[2] >= 0
		if fenced {
			language := content[m[2]:m[3]]
			from = m[4]
			is = func([]string) bool { return language == "" || language == "text" }
			if language == "console" {
				is = hasOutput
			}
		}
		lines := strings.Split(strings.TrimSuffix(content[from:max(m[5], m[7])], "\n"), "\n")
		if is(lines) {
			found = append(found, Output{Document: name, Line: strings.Count(content[:from], "\n") + 1, Lines: lines})
		}
	}
	return found
}

// hasOutput reports whether a console shows more than commands. A command may go on in
// indented lines.
func hasOutput(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return line != "" && !strings.HasPrefix(line, "$ ") && !strings.HasPrefix(line, "    ")
	})
}

// isResults reports whether a third of the cells beside the first column are figures.
func isResults(lines []string) bool {
	if len(lines) < 3 || !Separator.MatchString(lines[1]) {
		return false
	}
	some, all := 0, 0
	for _, line := range lines[2:] {
		for _, cell := range Cells(line)[1:] {
			all++
			if figure.MatchString(cell) {
				some++
			}
		}
	}
	return 3*some >= all
}

// Cells are those of a row.
func Cells(row string) []string {
	parts := strings.Split(strings.Trim(row, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// HeldBy finds the outputs that a test has to compare.
func HeldBy(t testing.TB, test string) (found []Output) {
	t.Helper()
	for name, content := range Read(t) {
		for _, s := range outputs(name, content) {
			if slices.Contains(s.holders(), test) {
				found = append(found, s)
			}
		}
	}
	require.NotEmpty(t, found, "no document shows what %s has to compare", test)
	return found
}

// holders are the tests that compare the output.
func (s Output) holders() (tests []string) {
	for _, h := range holders {
		if h.document == s.Document && strings.HasPrefix(s.Lines[0], h.begins) {
			tests = append(tests, h.test)
		}
	}
	return tests
}

// RequireHeld fails unless each output of the documents has one test that compares it.
// The pages in docs/performance are themselves output.
func RequireHeld(t testing.TB) {
	t.Helper()
	for name, content := range Read(t) {
		for _, s := range outputs(name, content) {
			if !strings.HasPrefix(name, "docs/performance/") {
				require.Len(t, s.holders(), 1, "%v shows %q: name the one test that compares it with what is printed in documents.holders", s, s.Lines[0])
			}
		}
	}
}
