package clusterkit_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireShown holds what documents say that a program prints against what it
// printed: each line, in this order. What varies are the parts of a line that
// match one of the patterns, the first that does; they may be others of the same
// kind. An ellipsis stands for anything.
func requireShown(t *testing.T, out string, varies ...vary) {
	t.Helper()
	printed := strings.Split(out, "\n")
	for _, s := range heldBy(t, t.Name()) {
		rest := printed
		for i, line := range s.lines {
			if strings.Trim(line, " …") == "" {
				continue
			}
			pattern := patternOf(line, varies)
			at := slices.IndexFunc(rest, pattern.MatchString)
			require.GreaterOrEqual(t, at, 0, "%s:%d says that this is printed:\n%s\nbut no line like it comes after what it shows before", s.document, s.line+i, line)
			rest = rest[at+1:]
		}
	}
}

// vary is a kind of what is printed that is not the same each time: how it looks
// in a document, and how it may look when it is printed.
type vary struct{ shown, printed *regexp.Regexp }

func varying(shown, printed string) vary {
	return vary{regexp.MustCompile("^(?:" + shown + ")"), regexp.MustCompile(printed)}
}

// What varies: seconds after an event, ports; and of what depends on load, figures
// with the blanks before them, in columns whose width they share. Figures in a
// name, such as n2, do not.
var (
	since    = varying(`\+\d+\.\d+s`, `\+\d+\.\d+s`)
	port     = varying(` *127\.0\.0\.1:\d+`, ` *127\.0\.0\.1:\d+`)
	duration = varying(` *\b\d+(\.\d+)?(ns|µs|ms|s)\b`, ` *\d+(\.\d+)?(ns|µs|ms|s)`)
	decimal  = varying(` *\b\d+\.\d+\b`, ` *\d+\.\d+`)
	whole    = varying(` *\b\d+\b`, ` *\d+`)
	figures  = []vary{since, port, duration, decimal, whole}
	ellipsis = varying(`…`, `.*`)
)

// patternOf makes a pattern of a line.
func patternOf(line string, varies []vary) *regexp.Regexp {
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

// What the pattern of a line lets pass, and what not.
func TestPatternsOfLines(t *testing.T) {
	for _, test := range []struct {
		shown, printed string
		varies         []vary
		matches        bool
	}{
		{"   +4.3s  n1 gets member-failed: n2", "   +10.8s  n1 gets member-failed: n2", []vary{since}, true},
		{"   +4.3s  n1 gets member-failed: n2", "   +4.3s  n1 gets member-failed: n3", figures, false},
		{"   +4.3s  n1 gets member-failed: n2", "   +4.3s  n1 gets member-failed: n22", figures, false},
		{"moved   2034 of 12288 slots", "moved   2034 of 12288 slots", []vary{since}, true},
		{"moved   2034 of 12288 slots", "moved   2033 of 12288 slots", []vary{since}, false},
		{"moved   2034 of 12288 slots", "moved    203 of 12288 slots", figures, true},
		{"moved   2034 of 12288 slots", "moved   2034 of 12288 slots, and more", figures, false},
		{"   before   3000    89.7 %", "   before    996   100.0 %", figures, true},
		{"   before   3000    89.7 %", "   before    996     100 %", figures, false},
		{"   before   3000    89.7 %", "   later     996    89.7 %", figures, false},
		{"all agree: fingerprint 97963692abf3e9c6", "all agree: fingerprint b0c69a51cbc8b311", figures, false},
		{"zone a, HTTP 127.0.0.1:33649", "zone a, HTTP 127.0.0.1:40001", figures, true},
		{"zone a, HTTP 127.0.0.1:33649", "zone a, HTTP 127.0.0.2:40001", figures, false},
		{"none   1 of 64 partitions, 1.3ms at most", "none   1 of 64 partitions, 1.3052s at most", figures, true},
		{`{"token":"…","id":"a"}`, `{"token":"01ff","id":"a"}`, nil, true},
		{`{"token":"…","id":"a"}`, `{"token":"01ff","id":"b"}`, nil, false},
	} {
		require.Equal(t, test.matches, patternOf(test.shown, test.varies).MatchString(test.printed), "%q for %q", test.shown, test.printed)
	}
}
