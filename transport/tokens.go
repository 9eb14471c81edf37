package transport

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Scope is what a token allows. Scopes are combined with |.
type Scope uint8

const (
	// ScopeRead allows what changes nothing: every route of [Handler] today,
	// POST /v1/lookup and POST /v1/plan included.
	ScopeRead Scope = 1 << iota
	// ScopeWrite allows what changes state: every method other than GET, HEAD
	// and OPTIONS but for the two above. It does not contain ScopeRead.
	ScopeWrite
)

// String names the scopes, separated by commas, as a token file does.
func (s Scope) String() string {
	var names []string
	for _, known := range []struct {
		scope Scope
		name  string
	}{{ScopeRead, "read"}, {ScopeWrite, "write"}} {
		if s&known.scope != 0 {
			names = append(names, known.name)
		}
		s &^= known.scope
	}
	if s != 0 || len(names) == 0 {
		names = append(names, fmt.Sprintf("scope(%d)", uint8(s)))
	}
	return strings.Join(names, ",")
}

func parseScope(text string) (Scope, error) {
	var scope Scope
	for name := range strings.SplitSeq(text, ",") {
		switch name {
		case "read":
			scope |= ScopeRead
		case "write":
			scope |= ScopeWrite
		default:
			// The text may be a token in the wrong place.
			return 0, errors.New("its scope must be read, write or read,write")
		}
	}
	return scope, nil
}

// Bounds of tokens.
const (
	// MinTokenBytes is the shortest token, in bytes. It keeps words and
	// dates out; a token should be 32 random bytes, encoded.
	MinTokenBytes = 16
	// MaxTokenBytes is the longest token, in bytes.
	MaxTokenBytes = 512
	// MaxTokens is how many tokens there may be at a time.
	MaxTokens = 100
)

const tokenBound = "16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone"

// Token is a bearer token (RFC 6750) and what it allows.
type Token struct {
	// Secret is the token: [MinTokenBytes] to [MaxTokenBytes] bytes of
	// letters, digits and - . _ ~ + /, with = at the end alone.
	Secret Secret
	// Scope is what it allows. Zero means [ScopeRead].
	Scope Scope
}

// validToken reports whether a header can carry a text as a bearer token.
func validToken(text string) bool {
	if len(text) < MinTokenBytes || len(text) > MaxTokenBytes {
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

// tokenSet are the tokens that a guard knows, by their hash alone.
type tokenSet []hashedToken

type hashedToken struct {
	hash  [sha256.Size]byte
	scope Scope
}

// add adds a token that is valid, unless it is there already.
func (s *tokenSet) add(token string, scope Scope) error {
	if s.scope(token) != 0 {
		return errors.New("is there twice")
	}
	if len(*s) == MaxTokens {
		return fmt.Errorf("is one too many: at most %d", MaxTokens)
	}
	*s = append(*s, hashedToken{sha256.Sum256([]byte(token)), scope})
	return nil
}

// scope is what a token allows: nothing when it is not known. How long it takes
// depends on how many tokens there are and on how long this one is, not on what
// is in them.
func (s tokenSet) scope(token string) Scope {
	hash := sha256.Sum256([]byte(token))
	var scope Scope
	for i := range s {
		equal := subtle.ConstantTimeCompare(hash[:], s[i].hash[:])
		scope |= Scope(equal) * s[i].scope
	}
	return scope
}

// parseTokens reads a token file: a line for each, its scope, blanks, the token.
// Empty lines and those that begin with # do not count. No error repeats what is
// in the file.
func parseTokens(path string, content []byte) (tokenSet, error) {
	var set tokenSet
	number := 0
	for line := range bytes.Lines(content) {
		number++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("file %q, line %d: has %d words: must be a scope and a token", path, number, len(fields))
		}
		scope, err := parseScope(fields[0])
		if err == nil && !validToken(fields[1]) {
			err = fmt.Errorf("its token must be %s", tokenBound)
		}
		if err != nil {
			return nil, fmt.Errorf("file %q, line %d: %w", path, number, err)
		}
		if err := set.add(fields[1], scope); err != nil {
			return nil, fmt.Errorf("file %q, line %d: the token %w", path, number, err)
		}
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("file %q holds no token", path)
	}
	return set, nil
}

// bearer returns the token that a request carries, and why there is none.
func bearer(r *http.Request) (token, missing string) {
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", "the request carries no token: send it in the header \"Authorization: Bearer …\""
	case 1:
	default:
		return "", fmt.Sprintf("the header Authorization is given %d times: give it once", len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", "the header Authorization holds no bearer token"
	}
	return strings.Trim(token, " "), ""
}

// needed is the scope that a request must have. Anything not known to change
// nothing is taken to change something.
func needed(r *http.Request) Scope {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return ScopeRead
	case http.MethodPost:
		if r.URL.Path == "/v1/lookup" || r.URL.Path == "/v1/plan" {
			return ScopeRead
		}
	}
	return ScopeWrite
}

// isProbe says whether a request is one of those that whoever runs the process
// sends, which knows no token and must never be turned away.
func isProbe(r *http.Request) bool {
	return (r.URL.Path == "/livez" || r.URL.Path == "/readyz") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}
