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

const (
	maxTokens    = 100 // the largest number of tokens of a guard
	maxTokenName = 100 // the largest number of bytes of a token's name
)

// Credential is a bearer token (RFC 6750) that a [Guard] accepts, with its scopes. The
// guard accepts it as the password of Basic credentials too, for browsers. A
// credential with neither Read nor Write has the scope Read.
type Credential struct {
	// Token returns the token: 16 to 512 bytes of letters, digits and - . _ ~ + /, with
	// = at the end alone. It should be 32 random bytes, encoded. [NewGuard] calls the
	// function, and keeps a hash. Token is a function so that the token appears in no
	// log: of a function only its address is printed.
	Token func() string `json:"-"`
	// Name names the token's holder in the log of actions, in at most 100 bytes. Empty
	// means the position of the token, such as "1 of the options". A token of TokenFile
	// is named by its line.
	Name string
	// Read allows requests that change nothing: every route of [Handler] but the actions,
	// also POST /v1/lookup and POST /v1/plan.
	Read bool
	// Write allows requests that may change state, such as the actions of [Handler]: every
	// method other than GET, HEAD and OPTIONS, except POST to the two routes above. It
	// does not include Read.
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

// tokenSet holds the hashes of the tokens of a guard.
type tokenSet []hashedToken

type hashedToken struct {
	hash  [sha256.Size]byte
	scope credential.Scope
	name  string // for the log; never the token
}

// add adds a valid token. It returns an error if the set has the token already or is
// full.
func (s *tokenSet) add(token string, scope credential.Scope, name string) error {
	if s.scope(token) != 0 {
		return errors.New("is listed twice")
	}
	if len(*s) == maxTokens {
		return fmt.Errorf("is one too many: at most %d", maxTokens)
	}
	*s = append(*s, hashedToken{sha256.Sum256([]byte(token)), scope, name})
	return nil
}

// scope returns the scope of a token, which is empty for an unknown token. Its time
// depends on the number of tokens and the length of this one, and not on their content.
func (s tokenSet) scope(token string) credential.Scope {
	hash := sha256.Sum256([]byte(token))
	var scope credential.Scope
	for i := range s {
		equal := subtle.ConstantTimeCompare(hash[:], s[i].hash[:])
		scope |= credential.Scope(equal) * s[i].scope
	}
	return scope
}

// name returns the name of a token, which is empty for an unknown token.
func (s tokenSet) name(token string) string {
	hash := sha256.Sum256([]byte(token))
	for i := range s {
		if subtle.ConstantTimeCompare(hash[:], s[i].hash[:]) == 1 {
			return s[i].name
		}
	}
	return ""
}

// parseTokens parses a token file. Each line has a scope, blanks, and a token. Empty
// lines and lines that begin with # are ignored. No error shows the content of the
// file.
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
		if err := set.add(words[1], scope, fmt.Sprintf("in line %d of the token file", number)); err != nil {
			return nil, fmt.Errorf("file %q, line %d: the token %w", path, number, err)
		}
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("file %q holds no token", path)
	}
	return set, nil
}

// bearer returns the token of a request, or why it has none. A browser sends what a person
// enters as Basic credentials (RFC 7617): the token is the password, with any name.
func bearer(r *http.Request) (token, missing string) {
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", "the request carries no token: send it in the header \"Authorization: Bearer …\""
	case 1:
	default:
		return "", fmt.Sprintf("the header Authorization is given %d times: give it once", len(values))
	}
	if _, password, ok := r.BasicAuth(); ok && password != "" {
		return password, ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", "the header Authorization holds no bearer token"
	}
	return strings.Trim(token, " "), ""
}

// needed returns the scope that a request needs. A request that is not known to only
// read needs Write.
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

// isProbe reports whether a request is a probe of a process manager. Such a probe has
// no token and must never be refused.
func isProbe(r *http.Request) bool {
	return (r.URL.Path == "/livez" || r.URL.Path == "/readyz") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}
