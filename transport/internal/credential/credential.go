// Package credential parses bearer tokens (RFC 6750), and the scopes before them in a
// token file. It reads no file and compares no tokens: the guard of package transport
// does.
package credential

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// MinBytes and MaxBytes bound the length of a token. The lower bound rejects words and
// dates.
const (
	MinBytes = 16
	MaxBytes = 512
)

// Bound describes a valid token, in the words of option.Error.Bound.
const Bound = "16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone"

// Valid reports whether a text can be a token.
func Valid(text string) bool {
	if len(text) < MinBytes || len(text) > MaxBytes {
		return false
	}
	for _, c := range []byte(strings.TrimRight(text, "=")) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return true
}

// Scope is the set of routes that a token allows.
type Scope uint8

// The scopes. Each is a bit; neither contains the other.
const (
	Read Scope = 1 << iota
	Write
)

// String names the scopes, separated by commas, as a token file does.
func (s Scope) String() string {
	switch s {
	case Read:
		return "read"
	case Write:
		return "write"
	case Read | Write:
		return "read,write"
	default:
		return fmt.Sprintf("scope(%d)", uint8(s))
	}
}

// ParseScope parses the output of String. Its error does not repeat the text, which may
// be a token in the wrong place.
func ParseScope(text string) (Scope, error) {
	var scope Scope
	for name := range strings.SplitSeq(text, ",") {
		switch name {
		case "read":
			scope |= Read
		case "write":
			scope |= Write
		default:
			return 0, errors.New("its scope must be read, write or read,write")
		}
	}
	return scope, nil
}

// Lines iterates over the lines of a token file: it yields the number of each line,
// from 1, and its words. Empty lines and comments, which begin with #, are left out.
func Lines(content []byte) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		number := 0
		for line := range bytes.Lines(content) {
			number++
			words := strings.Fields(string(line))
			if len(words) == 0 || strings.HasPrefix(words[0], "#") {
				continue
			}
			if !yield(number, words) {
				return
			}
		}
	}
}
