// Package documents finds the commands and outputs in the Markdown files of the
// repository, for tests.
package documents

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Root returns the directory of the module.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	require.True(t, ok)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Read returns the Markdown files of the repository, by path, with their content.
func Read(t testing.TB) map[string]string {
	t.Helper()
	return Files(t, ".md")
}

// Files returns the files whose name ends with suffix, by slashed path below the root,
// with their content.
func Files(t testing.TB, suffix string) map[string]string {
	t.Helper()
	found, root := make(map[string]string), os.DirFS(Root(t))
	require.NoError(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		content, err := fs.ReadFile(root, path)
		found[path] = string(content)
		return err
	}))
	require.NotEmpty(t, found)
	return found
}

// Output is an output of a program that a document shows: a block of output, or a
// table.
type Output struct {
	Document string
	Line     int // the number of its first line
	Lines    []string
	Tests    []string // the tests that compare it, by holders
}

func (s Output) String() string { return fmt.Sprintf("%s:%d", s.Document, s.Line) }

// holders say which test compares an output of a document with the printed one. The
// first line of the output begins as given. One holder may be for several outputs.
var holders = []struct{ document, begins, test string }{
	{"README.md", "2. n2 crashes", "TestProcesses/quickstart"},
	{"README.md", "$ curl -s '127.0.0.1:8080/v1/lookup", "TestDocumentedAnswers"},
	{"README.md", "| strategy | fullest", "TestPlacementPages"},
	{"README.md", "| time over the hash", "TestPerformancePages"},
	{"docs/operations.md", "| profile | members | packets/s", "TestDocumentedTraffic"},
	{"docs/operations.md", "| | LAN | WAN | Local |", "TestDocumentedTimings"},
	{"docs/performance.md", "| ", "TestPerformancePages"},
	{"docs/placement.md", "| members | ", "TestPlacementPages"},
	{"examples/cache/README.md", "3. n2 is killed", "TestProcesses/cache"},
	{"examples/grpc/README.md", "300 calls", "TestDemonstration"},
	{"examples/kv/README.md", "5. kill -9", "TestProcesses/kv"},
	{"examples/otel/README.md", "ask ", "TestATraceFollowsAForwardedRequest"},
	{"examples/workers/README.md", "2. n4 joins", "TestProcesses/workers"},
	{"examples/zonerouter/README.md", "3. Zone c is killed", "TestProcesses/zonerouter"},
	{"transport/cmd/clusterctl/README.md", "$ clusterctl ", "TestTheReadme"},
}

var (
	// Indented finds commands in indented blocks; the first group is the command.
	Indented = regexp.MustCompile(`(?m)^    ((?:[A-Z_]+=(?:\S+|\$\(.*?\)) )?(?:cd|go|bash|make|curl|promtool|openssl) .*)$`)
	// Fence finds fenced blocks.
	Fence = regexp.MustCompile("(?ms)^```.*?^```$")

	// block finds a fenced block, by language and lines, or a table.
	block = regexp.MustCompile("(?m)^```(\\w*)\n((?:[^`].*\n|\n)*)^```$|^((?:\\|.*\n)+)")
)

// Outputs finds the outputs in documents: blocks of text, consoles with more than
// commands, and tables.
func Outputs(t testing.TB) (found []Output) {
	t.Helper()
	for name, content := range Read(t) {
		for _, m := range block.FindAllStringSubmatchIndex(content+"\n", -1) {
			from, language := m[6], "text"
			if m[2] >= 0 {
				from, language = m[4], content[m[2]:m[3]]
			}
			lines := strings.Split(strings.TrimSuffix(content[from:max(m[5], m[7])], "\n"), "\n")
			if language != "" && language != "text" && (language != "console" || !hasOutput(lines)) {
				continue
			}
			s := Output{Document: name, Line: strings.Count(content[:from], "\n") + 1, Lines: lines}
			for _, h := range holders {
				if h.document == name && strings.HasPrefix(lines[0], h.begins) {
					s.Tests = append(s.Tests, h.test)
				}
			}
			found = append(found, s)
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

// Cells returns the cells of a row.
func Cells(row string) []string {
	parts := strings.Split(strings.Trim(row, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// HeldBy returns the outputs that a test must compare.
func HeldBy(t testing.TB, test string) []Output {
	t.Helper()
	found := slices.DeleteFunc(Outputs(t), func(s Output) bool { return !slices.Contains(s.Tests, test) })
	require.NotEmpty(t, found, "no document shows what %s has to compare", test)
	return found
}

// RequireShown compares the outputs of the running test with the text that a program
// printed: each shown line was printed, in this order. A part of a line that matches
// one of the patterns may be printed as another text of its kind; the first matching
// pattern counts. An ellipsis stands for any text.
func RequireShown(t testing.TB, out string, varies ...Vary) {
	t.Helper()
	printed := strings.Split(out, "\n")
	for _, s := range HeldBy(t, t.Name()) {
		rest := printed
		for i, line := range s.Lines {
			if strings.Trim(line, " …") == "" {
				continue
			}
			at := slices.IndexFunc(rest, PatternOf(line, varies).MatchString)
			require.GreaterOrEqual(t, at, 0, "%s:%d says that this is printed:\n%s\nbut no line like it comes after what it shows before", s.Document, s.Line+i, line)
			rest = rest[at+1:]
		}
	}
}

// Vary is a kind of text that differs from run to run: a pattern for documents, and a
// pattern for printed text.
type Vary struct{ shown, printed string }

// Varying returns a [Vary] of two patterns.
func Varying(shown, printed string) Vary { return Vary{shown, printed} }

// Times after an event and ports vary. Figures that depend on load vary together with
// the blanks before them, which fill a column.
var (
	Since    = Vary{`\+\d+\.\d+s`, `\+\d+\.\d+s`}
	port     = Vary{` *127\.0\.0\.1:\d+`, ` *127\.0\.0\.1:\d+`}
	duration = Vary{` *\b\d+(?:\.\d+)?(?:ns|µs|ms|s)\b`, ` *\d+(\.\d+)?(ns|µs|ms|s)`}
	decimal  = Vary{` *\b\d+\.\d+\b`, ` *\d+\.\d+`}
	whole    = Vary{` *\b\d+\b`, ` *\d+`}
	Figures  = []Vary{Since, port, duration, decimal, whole}
)

// PatternOf makes a pattern of a line. Digits in a name, such as n2 or zone-2, do not
// vary.
func PatternOf(line string, varies []Vary) *regexp.Regexp {
	varies = append(slices.Clone(varies), Vary{`…`, `.*`})
	shown := make([]string, len(varies))
	for i, v := range varies {
		shown[i] = v.shown
	}
	pattern, quoted := []string{"^"}, 0
	for _, m := range regexp.MustCompile(strings.Join(shown, "|")).FindAllStringIndex(line, -1) {
		part := line[m[0]:m[1]]
		if m[0] > 0 && part[0] >= '0' && part[0] <= '9' && strings.ContainsRune("-.:", rune(line[m[0]-1])) {
			continue
		}
		kind := slices.IndexFunc(varies, func(v Vary) bool { return regexp.MustCompile("^(?:" + v.shown + ")$").MatchString(part) })
		pattern = append(pattern, regexp.QuoteMeta(line[quoted:m[0]]), varies[kind].printed)
		quoted = m[1]
	}
	return regexp.MustCompile(strings.Join(pattern, "") + regexp.QuoteMeta(line[quoted:]) + " *$")
}
