package documents

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// RequireShown compares the outputs that the running test holds with what a program
// printed: each line that a document shows was printed, in this order. A part of a line
// that matches one of the patterns may be another one of its kind; the first pattern
// that matches counts. An ellipsis stands for anything.
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

// Vary is a kind of text that differs from run to run: how it looks in a document, and
// how it may be printed.
type Vary struct{ shown, printed string }

// Varying returns a [Vary] of two patterns.
func Varying(shown, printed string) Vary { return Vary{shown, printed} }

// Seconds after an event and ports vary. Figures that depend on load vary with the
// blanks before them, which fill a column.
var (
	Since    = Vary{`\+\d+\.\d+s`, `\+\d+\.\d+s`}
	port     = Vary{` *127\.0\.0\.1:\d+`, ` *127\.0\.0\.1:\d+`}
	duration = Vary{` *\b\d+(?:\.\d+)?(?:ns|µs|ms|s)\b`, ` *\d+(\.\d+)?(ns|µs|ms|s)`}
	decimal  = Vary{` *\b\d+\.\d+\b`, ` *\d+\.\d+`}
	whole    = Vary{` *\b\d+\b`, ` *\d+`}
	Figures  = []Vary{Since, port, duration, decimal, whole}
)

// PatternOf makes a pattern of a line. Figures in a name, such as n2 or zone-2, do not
// vary.
func PatternOf(line string, varies []Vary) *regexp.Regexp {
	varies = append(slices.Clone(varies), Vary{`…`, `.*`})
	var shown []string
	for _, v := range varies {
		shown = append(shown, v.shown)
	}
	kinds, pattern, quoted := regexp.MustCompile(strings.Join(shown, "|")), "^", 0
	for _, m := range kinds.FindAllStringIndex(line, -1) {
		part := line[m[0]:m[1]]
		if m[0] > 0 && part[0] >= '0' && part[0] <= '9' && strings.ContainsRune("-.:", rune(line[m[0]-1])) {
			continue
		}
		kind := slices.IndexFunc(varies, func(v Vary) bool { return regexp.MustCompile("^(?:" + v.shown + ")$").MatchString(part) })
		if kind < 0 { // a pattern that looks around its match
			continue
		}
		pattern += regexp.QuoteMeta(line[quoted:m[0]]) + varies[kind].printed
		quoted = m[1]
	}
	return regexp.MustCompile(pattern + regexp.QuoteMeta(line[quoted:]) + " *$")
}
