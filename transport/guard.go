package transport

import (
	"cmp"
	"context"
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

// GuardOptions say which requests a guard admits, and how often. The zero value admits
// every request, except requests from pages of other origins in a browser.
type GuardOptions struct {
	// Tokens are the valid bearer tokens, at most 100. There can be several, so that
	// all members can know a new token before the old one is removed. If there is a
	// token here or in TokenFile, every request must carry one, except GET and HEAD for
	// /livez and /readyz.
	Tokens []Credential
	// TokenFile names a file with further tokens. Each line has "read", "write" or
	// "read,write", a blank, and a token; # begins a comment line. The file is read
	// again when it changes, at most once a second, and must always have a token. Empty
	// means no file.
	TokenFile string
	// TokensInClear allows tokens without TLS at an address that is not loopback, for
	// example where a proxy in front of the process does the TLS. Without it package
	// cluster refuses such options.
	TokensInClear bool

	// PerClient limits the requests of each client. A client is an IPv4 address or an
	// IPv6 network of 64 bits. Overall limits the requests of all clients together,
	// without those that were refused because of PerClient or a missing token. Zero
	// means no limit. Probes of /livez and /readyz are not limited.
	PerClient, Overall RateLimit
	// MaxClients is the number of clients that the guard remembers for PerClient, 1 to
	// 1,048,576, with about 300 bytes each. When there are more, it forgets the client
	// that has been silent for longest. Zero means 16,384.
	MaxClients int
	// TrustedProxies are the prefixes of proxies whose header X-Forwarded-For is
	// trusted, such as 10.1.0.0/16. Empty means that the header is ignored.
	TrustedProxies []string

	// TrustedOrigins are origins, such as https://admin.example.org, whose pages may
	// send requests other than GET, HEAD and OPTIONS. Pages of the server's own host
	// and clients that are no browsers always may.
	TrustedOrigins []string

	// Logger gets messages about TokenFile. Nil means [slog.Default].
	Logger *slog.Logger
}

// asksForTokens reports whether requests must carry a token.
func (o GuardOptions) asksForTokens() bool { return len(o.Tokens) > 0 || o.TokenFile != "" }

// Validate returns an [option.Error] for every option that is out of bounds, joined. No
// error shows a token. It opens nothing.
func (o GuardOptions) Validate() error {
	_, err := o.parse()
	return err
}

// guardSettings are checked options.
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
		if len(t.Name) > maxTokenName {
			bad(fmt.Sprintf("Tokens[%d].Name", i), fmt.Sprintf("a text of %d bytes", len(t.Name)), fmt.Sprintf("at most %d bytes", maxTokenName))
		}
		field, token := fmt.Sprintf("Tokens[%d].Token", i), ""
		if t.Token != nil {
			token = t.Token()
		}
		if !credential.Valid(token) {
			bad(field, fmt.Sprintf("a text of %d bytes", len(token)), credential.Bound)
		} else if err := s.tokens.add(token, t.scope(), cmp.Or(t.Name, fmt.Sprintf("%d of the options", i+1))); err != nil {
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
// [NewGuard], and put its Wrap into [HandlerOptions.Middleware], or around a handler of
// your own. It is safe for concurrent use, starts no goroutine and need not be closed.
//
// It checks, in this order, the origin (403), the client's rate (429), the age of the
// client's certificate (403), the token (401, 403), and the overall rate (429). The
// overall rate comes last so that clients without a token cannot use it up.
type Guard struct {
	settings guardSettings
	asks     bool
	file     *reload.Value[tokenSet] // nil without TokenFile
	clients  *clientTable            // nil without a limit
	overall  *rate.Limiter           // nil without a limit
	counts   struct{ crossOrigin, limited, unauthorized, forbidden atomic.Uint64 }
	refusals budget // bytes that refusals over HTTP/2 hold until they are read
}

// NewGuard returns a guard. It reads TokenFile. It returns the error of
// [GuardOptions.Validate], or an error that says why the file cannot be used, and that
// does not show its content.
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

// Wrap is a middleware: it puts the guard before a handler. The scope that a request
// needs depends on its method and on the paths of [Handler].
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := g.check(w, r); p != nil {
			g.refuse(w, r, p)
			return
		}
		if len(g.settings.proxies) > 0 { // otherwise the handler finds the same client
			r = r.WithContext(context.WithValue(r.Context(), sourceKey{}, clientKey(r, g.settings.proxies)))
		}
		next.ServeHTTP(w, g.withCaller(r))
	})
}

// refuse answers with a refusal. Over HTTP/2 a refusal holds memory until it is read. Beyond a budget,
// and beyond the share of its client, the stream is reset.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, p *api.Refusal) {
	const share = maxRefusalBytes / clientPart
	client, bytes := clientKey(r, g.settings.proxies), min(streamCost(r), share)
	if !g.refusals.take(client, bytes, share, maxRefusalBytes) {
		panic(http.ErrAbortHandler)
	}
	defer g.refusals.give(client, bytes)
	wire.Refuse(w, r, p)
	awaitRoom(w, r)
}

// GuardCounts count the requests that a guard refused.
type GuardCounts struct {
	// CrossOrigin counts requests from a page of another origin (403), Limited requests
	// above a rate (429), Unauthorized requests without a valid token (401), and
	// Forbidden requests with a token of too narrow a scope or with an expired
	// certificate (403).
	CrossOrigin, Limited, Unauthorized, Forbidden uint64
	// ReloadFailures counts the checks that found a TokenFile which has changed and cannot
	// be used. The tokens of its earlier content stay valid.
	ReloadFailures uint64
}

// Counts returns how many requests were refused since the guard was made. It checks whether
// TokenFile has changed, at most once a second, and does not block otherwise.
func (g *Guard) Counts() GuardCounts {
	c := GuardCounts{
		CrossOrigin: g.counts.crossOrigin.Load(), Limited: g.counts.limited.Load(),
		Unauthorized: g.counts.unauthorized.Load(), Forbidden: g.counts.forbidden.Load(),
	}
	if g.file != nil {
		g.file.Get() // a scrape then finds a file that cannot be used
		c.ReloadFailures = g.file.Failures()
	}
	return c
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
		// The certificate was valid when the connection was made.
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
		ask(w, r, challenge)
		return wire.New(wire.Token, http.StatusUnauthorized, "%s", missing)
	}
	scope, need := g.settings.tokens.scope(token), needed(r)
	if g.file != nil {
		scope |= g.file.Get().scope(token)
	}
	switch {
	case scope == 0:
		g.counts.unauthorized.Add(1)
		ask(w, r, challenge+`, error="invalid_token"`)
		return wire.New(wire.Token, http.StatusUnauthorized, "the token is not valid here")
	case scope&need == 0:
		g.counts.forbidden.Add(1)
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s, error="insufficient_scope", scope="%s"`, challenge, need))
		return wire.New(wire.Scope, http.StatusForbidden, "the token's scope is %s: %s is needed", scope, need)
	default:
		return nil
	}
}

// ask names the credentials that a request needs. A browser asks the person for them where
// the challenge is Basic.
func ask(w http.ResponseWriter, r *http.Request, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	if accepts(r, html) > 0 {
		w.Header().Add("WWW-Authenticate", `Basic realm="clusterkit: any name, and a token as the password", charset="UTF-8"`)
	}
}
