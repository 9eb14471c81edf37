package transport

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
	"github.com/clusterkit/clusterkit/transport/internal/credential"
	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// GuardOptions say which requests are let through, and how often. The zero value lets
// every request through, except requests from pages of other origins in a browser.
type GuardOptions struct {
	// Tokens are bearer tokens, at most 100: several, so that a new one is known
	// everywhere before the old one goes. With any here or in TokenFile, all
	// requests but GET and HEAD for /livez and /readyz must carry one.
	Tokens []Credential
	// TokenFile holds more of them: a line for each, "read", "write" or
	// "read,write", a blank, and the token; # begins a comment line. It is
	// read again when it changes, at most once a second, and must never be
	// without a token. Empty: none.
	TokenFile string
	// TokensInClear says that tokens may be asked for without TLS at an
	// address that is not loopback, as when something in front of the process
	// does the TLS. Package cluster refuses that otherwise.
	TokensInClear bool

	// PerClient limits each client, known by its IPv4 address or its IPv6
	// network of 64 bits; Overall all of them together, without the requests
	// that PerClient or a missing token has turned away. Zero: no limit. Probes
	// of /livez and /readyz are not limited.
	PerClient, Overall RateLimit
	// MaxClients is how many clients are remembered for PerClient, 1 to
	// 1,048,576, about 300 bytes each. When there are more, the client that has
	// been silent for longest is forgotten. Zero means 16,384.
	MaxClients int
	// TrustedProxies are the prefixes of proxies whose X-Forwarded-For is
	// believed, such as 10.1.0.0/16. Empty: no proxy's is.
	TrustedProxies []string

	// TrustedOrigins are origins, such as https://admin.example.org, whose
	// pages may send requests other than GET, HEAD and OPTIONS. Pages of the
	// server's own host may, and so may whatever is not a browser.
	TrustedOrigins []string

	// Logger gets what becomes of TokenFile. Nil means [slog.Default].
	Logger *slog.Logger
}

// asksForTokens says whether requests must carry a token.
func (o GuardOptions) asksForTokens() bool { return len(o.Tokens) > 0 || o.TokenFile != "" }

// Validate returns an [option.Error] for every option that is out of bounds,
// joined; never with a token in it. It opens nothing.
func (o GuardOptions) Validate() error {
	_, err := o.parse()
	return err
}

// guardSettings are options that have been checked.
type guardSettings struct {
	tokens  tokenSet
	proxies []netip.Prefix
	origins *http.CrossOriginProtection
}

func (o GuardOptions) parse() (s guardSettings, err error) {
	var errs []error
	bad := func(field string, value any, bound string) {
		errs = append(errs, &option.Error{Field: "" + field, Value: value, Bound: bound})
	}
	for i, t := range o.Tokens {
		field, token := fmt.Sprintf("Tokens[%d].Token", i), ""
		if t.Token != nil {
			token = t.Token()
		}
		if !credential.Valid(token) {
			bad(field, fmt.Sprintf("a text of %d bytes", len(token)), credential.Bound)
		} else if err := s.tokens.add(token, t.scope()); err != nil {
			bad(field, "a token", "a token that is not listed twice, in a list of at most "+strconv.Itoa(maxTokens))
		}
	}
	errs = append(errs, option.Under("PerClient", o.PerClient.validate()), option.Under("Overall", o.Overall.validate()),
		bound.Within("MaxClients", cmp.Or(o.MaxClients, 1), 1, 1<<20))
	var proxyErrs []error
	s.proxies, proxyErrs = parseProxies(o.TrustedProxies)
	errs = append(errs, proxyErrs...)
	s.origins = http.NewCrossOriginProtection()
	for i, origin := range o.TrustedOrigins {
		if err := s.origins.AddTrustedOrigin(origin); err != nil {
			bad(fmt.Sprintf("TrustedOrigins[%d]", i), origin, "an origin, scheme://host or scheme://host:port")
		}
	}
	return s, errors.Join(errs...)
}

// Guard refuses requests that are not allowed, or come too often. Make one with
// [NewGuard] and put its Wrap among [HandlerOptions.Middleware], or around a handler of
// yours. It is safe for concurrent use, starts no goroutine and needs no closing.
//
// It looks, in this order, at the origin (403), the client's rate (429), the age
// of the client's certificate (403), the token (401, 403), and the overall rate
// (429), so that strangers cannot use up what is for those with a token.
type Guard struct {
	settings guardSettings
	asks     bool
	file     *reload.Value[tokenSet] // nil without TokenFile
	clients  *clientTable            // nil without a limit
	overall  *rate.Limiter           // nil without a limit
	counts   struct{ crossOrigin, limited, unauthorized, forbidden atomic.Uint64 }
}

// NewGuard returns a guard. It reads TokenFile, and returns what
// [GuardOptions.Validate] reports, or an error that says why the file cannot be
// used, without what is in it.
func NewGuard(o GuardOptions) (*Guard, error) {
	s, err := o.parse()
	if err != nil {
		return nil, fmt.Errorf("transport: options of the guard: %w", err)
	}
	g := &Guard{settings: s, asks: o.asksForTokens()}
	if o.TokenFile != "" {
		g.file, err = reload.Watch([]string{o.TokenFile}, cmp.Or(o.Logger, slog.Default()), func(contents [][]byte) (tokenSet, error) {
			return parseTokens(o.TokenFile, contents[0])
		})
		if err != nil {
			return nil, fmt.Errorf("transport: tokens: %w", err)
		}
	}
	if o.PerClient.on() {
		g.clients = newClientTable(o.PerClient, cmp.Or(o.MaxClients, 16_384))
	}
	if o.Overall.on() {
		g.overall = o.Overall.limiter()
	}
	return g, nil
}

// Wrap puts the guard before a handler. It is a middleware. Which scope a
// request needs is told by its method and by the paths of [Handler].
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := g.check(w, r); p != nil {
			wire.Refuse(w, r, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// GuardCounts count the requests that a guard turned away.
type GuardCounts struct {
	// CrossOrigin came from a page of another origin (403), Limited came too
	// fast (429), Unauthorized carried no valid token (401), and Forbidden a
	// token of too narrow a scope or an expired certificate (403).
	CrossOrigin, Limited, Unauthorized, Forbidden uint64
}

// Counts returns how many requests have been turned away since the guard was made. It does
// not block.
func (g *Guard) Counts() GuardCounts {
	return GuardCounts{
		CrossOrigin: g.counts.crossOrigin.Load(), Limited: g.counts.limited.Load(),
		Unauthorized: g.counts.unauthorized.Load(), Forbidden: g.counts.forbidden.Load(),
	}
}

func (g *Guard) check(w http.ResponseWriter, r *http.Request) *api.Refusal {
	if isProbe(r) {
		return nil
	}
	if g.settings.origins.Check(r) != nil {
		g.counts.crossOrigin.Add(1)
		return wire.New(wire.CrossOrigin, http.StatusForbidden, "a page of another origin sent the request, and its origin is not trusted")
	}
	now := time.Now()
	if g.clients != nil {
		if wait := g.clients.take(clientKey(r, g.settings.proxies), now); wait > 0 {
			return g.slowDown(w, wait, "the client asks too often")
		}
	}
	if p := g.authorize(w, r, now); p != nil {
		return p
	}
	if g.overall != nil {
		if wait := take(g.overall, now); wait > 0 {
			return g.slowDown(w, wait, "all clients together ask too often")
		}
	}
	return nil
}

func (g *Guard) slowDown(w http.ResponseWriter, wait int, why string) *api.Refusal {
	g.counts.limited.Add(1)
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	return wire.New(wire.TooManyRequests, http.StatusTooManyRequests, "%s: try again in %d s", why, wait)
}

func (g *Guard) authorize(w http.ResponseWriter, r *http.Request, now time.Time) *api.Refusal {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && now.After(r.TLS.PeerCertificates[0].NotAfter) {
		// It was good when the connection was made.
		g.counts.forbidden.Add(1)
		w.Header().Set("Connection", "close")
		return wire.New(wire.Certificate, http.StatusForbidden, "the client's certificate has expired since the connection was made: connect anew with a valid one")
	}
	if !g.asks {
		return nil
	}
	const challenge = `Bearer realm="clusterkit"`
	token, missing := bearer(r)
	if missing != "" {
		g.counts.unauthorized.Add(1)
		w.Header().Set("WWW-Authenticate", challenge)
		return wire.New(wire.Token, http.StatusUnauthorized, "%s", missing)
	}
	scope, need := g.settings.tokens.scope(token), needed(r)
	if g.file != nil {
		scope |= g.file.Get().scope(token)
	}
	switch {
	case scope == 0:
		g.counts.unauthorized.Add(1)
		w.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		return wire.New(wire.Token, http.StatusUnauthorized, "the token is not valid here")
	case scope&need == 0:
		g.counts.forbidden.Add(1)
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s, error="insufficient_scope", scope="%s"`, challenge, need))
		return wire.New(wire.Scope, http.StatusForbidden, "the token's scope is %s: %s is needed", scope, need)
	default:
		return nil
	}
}
