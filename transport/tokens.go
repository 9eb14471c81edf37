package transport

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/clusterkit/clusterkit/transport/internal/credential"
)

// maxTokens is how many tokens a guard takes at a time.
const maxTokens = 100

// Credential is a bearer token (RFC 6750) that a [Guard] takes, and what it allows. With
// neither Read nor Write it is Read.
type Credential struct {
	// Token returns the token: 16 to 512 bytes of letters, digits and - . _ ~ + /,
	// with = at the end alone. It should be 32 random bytes, encoded. [NewGuard]
	// calls it, and keeps a hash. It is a function because printers print of a
	// function only where it is: the token stands in no log.
	Token func() string `json:"-"`
	// Read allows what changes nothing: every route of [Handler] today, POST
	// /v1/lookup and POST /v1/plan included.
	Read bool
	// Write allows what changes state: every method other than GET, HEAD and OPTIONS
	// but for POST to the two routes above. It does not contain Read.
	Write bool
}

func (c Credential) scope() (scope credential.Scope) {
	if c.Read || !c.Write {
		scope = credential.Read
	}
	if c.Write {
		scope |= credential.Write
	}
	return scope
}

// tokenSet are the tokens that a guard knows, by their hash alone.
type tokenSet []hashedToken

type hashedToken struct {
	hash  [sha256.Size]byte
	scope credential.Scope
}

// add adds a token that is valid, unless it is there already.
func (s *tokenSet) add(token string, scope credential.Scope) error {
	if s.scope(token) != 0 {
		return errors.New("is there twice")
	}
	if len(*s) == maxTokens {
		return fmt.Errorf("is one too many: at most %d", maxTokens)
	}
	*s = append(*s, hashedToken{sha256.Sum256([]byte(token)), scope})
	return nil
}

// scope is what a token allows: nothing when it is not known. How long it takes
// depends on how many tokens there are and on how long this one is, not on what
// is in them.
func (s tokenSet) scope(token string) credential.Scope {
	hash := sha256.Sum256([]byte(token))
	var scope credential.Scope
	for i := range s {
		equal := subtle.ConstantTimeCompare(hash[:], s[i].hash[:])
		scope |= credential.Scope(equal) * s[i].scope
	}
	return scope
}

// parseTokens reads a token file: a line for each, its scope, blanks, the token.
// Empty lines and lines that begin with # do not count. No error repeats what is
// in the file.
func parseTokens(path string, content []byte) (tokenSet, error) {
	var set tokenSet
	for number, words := range credential.Lines(content) {
		if len(words) != 2 {
			return nil, fmt.Errorf("file %q, line %d: has %d words: must be a scope and a token", path, number, len(words))
		}
		scope, err := credential.ParseScope(words[0])
		if err == nil && !credential.Valid(words[1]) {
			err = fmt.Errorf("its token must be %s", credential.Bound)
		}
		if err != nil {
			return nil, fmt.Errorf("file %q, line %d: %w", path, number, err)
		}
		if err := set.add(words[1], scope); err != nil {
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
func needed(r *http.Request) credential.Scope {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return credential.Read
	case http.MethodPost:
		if r.URL.Path == "/v1/lookup" || r.URL.Path == "/v1/plan" {
			return credential.Read
		}
	}
	return credential.Write
}

// isProbe says whether a request is a probe of a process manager, which knows no token
// and must never be turned away.
func isProbe(r *http.Request) bool {
	return (r.URL.Path == "/livez" || r.URL.Path == "/readyz") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}
