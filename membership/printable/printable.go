// Package printable deals with text of strangers: names in the options of other members, and lines
// of the log that repeat what a client has sent. The default handler of log/slog writes a message
// as it is, so that a line break in it would forge a line.
//
// It is for the packages of this module, and may change in any release.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Is reports whether a text is UTF-8 and has only characters that can be printed.
func Is(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Line returns a text as one line. A text that cannot be printed as it is has the escapes of a
// string in Go.
func Line(text string) string {
	if Is(text) {
		return text
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}
