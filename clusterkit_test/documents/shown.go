package documents

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// RequireShown holds what documents say that a program prints against what it
// printed: each line, in this order. What varies are the parts of a line that
// match one of the patterns, the first that does; they may be others of the same
// kind. An ellipsis stands for anything.
func RequireShown(t testing.TB, out string, varies ...Vary) {
	t.Helper()
	printed := strings.Split(out, "\n")
	for _, s := range HeldBy(t, t.Name()) {
		rest := printed
		for i, line := range s.Lines {
			if strings.Trim(line, " …") == "" {
				continue
			}
			pattern := PatternOf(line, varies)
			at := slices.IndexFunc(rest, pattern.MatchString)
			require.GreaterOrEqual(t, at, 0, "%s:%d says that this is printed:\n%s\nbut no line like it comes after what it shows before", s.Document, s.Line+i, line)
			rest = rest[at+1:]
		}
	}
}

// Vary is a kind of what is printed that is not the same each time: how it looks
// in a document, and how it may look when it is printed.
type Vary struct{ shown, printed *regexp.Regexp }

// Varying returns a kind of what is printed that is not the same each time, from
// patterns for how it looks in a document and how it may be printed.
func Varying(shown, printed string) Vary {
	return Vary{regexp.MustCompile("^(?:" + shown + ")"), regexp.MustCompile(printed)}
}

// What varies: seconds after an event, ports; and of what depends on load, figures
// with the blanks before them, in columns whose width they share. Figures in a
// name, such as n2, do not.
var (
	Since    = Varying(`\+\d+\.\d+s`, `\+\d+\.\d+s`)
	port     = Varying(` *127\.0\.0\.1:\d+`, ` *127\.0\.0\.1:\d+`)
	duration = Varying(` *\b\d+(\.\d+)?(ns|µs|ms|s)\b`, ` *\d+(\.\d+)?(ns|µs|ms|s)`)
	decimal  = Varying(` *\b\d+\.\d+\b`, ` *\d+\.\d+`)
	whole    = Varying(` *\b\d+\b`, ` *\d+`)
	Figures  = []Vary{Since, port, duration, decimal, whole}
	ellipsis = Varying(`…`, `.*`)
)

// PatternOf makes a pattern of a line.
func PatternOf(line string, varies []Vary) *regexp.Regexp {
	var pattern strings.Builder
	for at := 0; at < len(line); {
		length := 0
		for _, v := range append(slices.Clone(varies), ellipsis) {
			if length = matchAt(v.shown, line, at); length > 0 {
				pattern.WriteString(v.printed.String())
				break
			}
		}
		if length == 0 {
			length = len(string([]rune(line[at:])[0]))
			pattern.WriteString(regexp.QuoteMeta(line[at : at+length]))
		}
		at += length
	}
	return regexp.MustCompile("^" + pattern.String() + " *$")
}

// matchAt returns the length of a match that begins at a place of a line and not
// within a word.
func matchAt(pattern *regexp.Regexp, line string, at int) int {
	if at > 0 && isWord(line[at]) && (isWord(line[at-1]) || strings.ContainsRune("-.:", rune(line[at-1]))) {
		return 0
	}
	return len(pattern.FindString(line[at:]))
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
