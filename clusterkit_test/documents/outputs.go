package documents

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Output is something that a document says that a program prints: a block of
// output, or a table of results.
type Output struct {
	Document string
	Line     int // of the first of its lines
	Lines    []string
}

func (s Output) String() string { return fmt.Sprintf("%s:%d", s.Document, s.Line) }

// Holder says which test holds an output of a document against what is so. The
// output is known by how its first line begins. A holder may be of several.
type Holder struct{ Document, Begins, Test string }

// Holders returns the holders of all that the documents show.
func Holders() []Holder { return slices.Clone(holders) }

var holders = []Holder{
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

var (
	// languages are those of blocks that show no output. Where a test looks at
	// such blocks it is named.
	languages = map[string]bool{"go": true /* TestDocumentationCompiles */, "mermaid": true, "yaml": true /* testPrometheus */}

	// Separator matches the line between the head of a table and its rows.
	Separator = regexp.MustCompile(`^\|[-:| ]+\|$`)
	// Indented finds commands in indented blocks; the first group is the command.
	Indented = regexp.MustCompile(`(?m)^    ((?:[A-Z_]+=(?:\S+|\$\(.*?\)) )?(?:cd|go|bash|make|curl|promtool|openssl) .*)$`)
	// Fence finds fenced blocks.
	Fence = regexp.MustCompile("(?ms)^```.*?^```$")

	figure = regexp.MustCompile(`^[0-9][0-9.,]*([,/ –]+[0-9.,]+)?( ?(%|ns|µs|ms|s|bytes|KiB|MiB))?$`)
)

// Outputs finds what a document shows as printed: blocks that are not of a
// language, of indented ones what is not a command, and tables in which a good
// part of the cells are figures.
func Outputs(name, content string) (found []Output) {
	var block Output
	language, fenced := "", false
	end := func(is bool) {
		if is && len(block.Lines) > 0 {
			found = append(found, block)
		}
		block = Output{Document: name}
	}
	end(false)
	for i, line := range strings.Split(content, "\n") {
		begins := strings.HasPrefix(line, "```")
		switch {
		case begins && fenced:
			end(!languages[language] && (language != "console" || hasOutput(block.Lines)))
			fenced = false
			continue
		case begins:
			language, fenced = strings.TrimPrefix(line, "```"), true
			continue
		case fenced:
		case strings.HasPrefix(line, "    ") && !Indented.MatchString(line):
			line = strings.TrimPrefix(line, "    ")
		case strings.HasPrefix(line, "|"):
		default:
			end(len(block.Lines) > 0 && (block.Lines[0][0] != '|' || isResults(block.Lines)))
			continue
		}
		if len(block.Lines) == 0 {
			block.Line = i + 1
		}
		block.Lines = append(block.Lines, line)
	}
	end(isResults(block.Lines))
	return found
}

// hasOutput reports whether a block of a console shows more than commands, which
// may go on in lines that are Indented.
func hasOutput(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return line != "" && !strings.HasPrefix(line, "$ ") && !strings.HasPrefix(line, "    ")
	})
}

// isResults reports whether a third of the cells beside the first column are
// figures.
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

// HeldBy finds what a test has to hold.
func HeldBy(t testing.TB, test string) (blocks []Output) {
	t.Helper()
	docs := Read(t)
	for _, h := range holders {
		if h.Test != test {
			continue
		}
		for _, s := range Outputs(h.Document, docs[h.Document]) {
			if strings.HasPrefix(s.Lines[0], h.Begins) {
				blocks = append(blocks, s)
			}
		}
	}
	require.NotEmpty(t, blocks, "no document shows what %s has to hold", test)
	return blocks
}
