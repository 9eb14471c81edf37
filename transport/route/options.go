package route

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
)

// Policy says which owners of a key may answer a request.
type Policy uint8

// The policies.
const (
	// Nearest takes any owner: this member, if it is one, then those in its
	// zone, those in its region, and the rest.
	Nearest Policy = iota
	// PrimaryOnly takes the first owner of the preference list and no
	// other. While that one is down and the cluster has not noticed, requests
	// wait for as long as Options.Patience.
	PrimaryOnly
	// PrimaryFirst takes the owners in the order of the preference list,
	// wherever they are: the next when one cannot be reached.
	PrimaryFirst
)

// Options configure a [Router]. Service and Key are required; every other
// field says what its zero value means.
type Options struct {
	// Service names the address to forward to: membership.Member.Services has
	// it, host:port, for every owner that can be forwarded to. Routers in front
	// of the same service must give the same name. 1 to 64 letters, digits and
	// the characters . _ : / @ -.
	Service string
	// Key returns the key of a request, and false when it has none and is to
	// be answered by the member it came to. It must return the same on every
	// member, must not read the body, and is called concurrently.
	Key func(*http.Request) (key string, ok bool)
	// Policy says which owners may answer a request. It must return the same
	// on every member and is called concurrently. Nil: Nearest for GET, HEAD,
	// OPTIONS and TRACE, PrimaryOnly for everything else.
	Policy func(*http.Request) Policy
	// Scheme is "http" or "https". Empty means http.
	Scheme string
	// Transport carries forwarded requests, and should be the process's one
	// [client.Pool]. It must not try a request again on its own unless nothing of it
	// was sent or it is idempotent, as [client.Pool] and http.Transport do not. A
	// request that finds no connection free for 2 s goes to the next owner, so that many
	// long polls to one member need a larger client.PoolOptions.MaxConnsPerHost; upgrades
	// and event streams have connections of their own. Nil: a Pool of the router's own,
	// with the defaults, which [Router.Close] closes.
	Transport http.RoundTripper
	// Wrap puts something around Transport that sees every attempt by itself,
	// such as the tracing of OpenTelemetry. What holds for Transport holds for
	// what it returns. Nil: nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Patience is how long a request that was refused, or whose owners cannot
	// be reached, waits for the views to agree or to change: 1 ns to 5 min. With
	// about ten seconds writes outlast the crash of their primary. Zero means
	// 1 s, and [option.None] that no request waits.
	Patience time.Duration
	// HedgeAfter is how long a read (GET, HEAD, OPTIONS or TRACE without a body, of
	// which the policy allows several owners) waits for the head of an answer before
	// it is sent to the next owner as well: 1 ms to 1 min. The first answer counts, and
	// the other attempt is ended. A hedge takes a token from the budget below. An owner
	// that lost is tried last for AvoidFor. Choose more than the time in which the
	// service answers nearly all reads. Zero means that no read is sent twice.
	HedgeAfter time.Duration
	// MaxAttempts is how often one request is sent, the first time included,
	// 1 to 1,000. Zero means 32.
	MaxAttempts int
	// RetriesPerRequest, RetriesPerSecond and RetryBurst are a budget, which keeps a
	// cluster in trouble from being sent ever more requests: a token bucket for all
	// requests together. Sending a request again after a failed connection takes a
	// token. A request that finds none is answered with the failure. Requests that
	// were refused with 421, or that wait until the view has moved on, take none.
	//
	// RetriesPerRequest is how many tokens every forwarded request puts into the
	// bucket, up to 1. Zero means 0.2, and [option.None] none. RetriesPerSecond is
	// how many come in with time, up to 1,000,000. Zero means 10, and [option.None]
	// none. RetryBurst is how many the bucket holds, as it does at first: 1 to
	// 1,000,000. Zero means 100.
	RetriesPerRequest, RetriesPerSecond float64
	RetryBurst                          int
	// MaxReplayBytes is the longest body that is kept in memory to be sent
	// again, in bytes, up to 16 MiB. Zero means 64 KiB, and [option.None] that
	// none is.
	MaxReplayBytes int64
	// AvoidFor is how long an address is tried last after a connection to it
	// could not be made; afterwards one request at a time tries again. 1 ms to
	// 1 min. Zero means 1 s.
	AvoidFor time.Duration
	// TrustForwarded keeps the X-Forwarded-For, -Host and -Proto that a
	// request came with, the first with its sender added. Set it only behind a
	// proxy that all requests come through: every process can send these headers.
	TrustForwarded bool
	// Logger gets panics of Key and Policy, at error, and failed attempts, at
	// debug. Nil means [slog.Default].
	Logger *slog.Logger
}

// validate returns an [option.Error] for every option that is missing or out of
// bounds, joined. It opens nothing.
func (o Options) validate() error {
	o = o.withDefaults()
	var errs []error
	bad := func(field string, value any, bound string) {
		errs = append(errs, &option.Error{Field: field, Value: value, Bound: bound})
	}
	if !isServiceName(o.Service) {
		bad("Service", o.Service, "1 to 64 letters, digits and . _ : / @ -")
	}
	if o.Key == nil {
		bad("Key", nil, "set")
	}
	if o.Scheme != "http" && o.Scheme != "https" {
		bad("Scheme", o.Scheme, `"http" or "https", or empty for http`)
	}
	return errors.Join(append(errs,
		bound.WithinOrNone("Patience", o.Patience, 1, 5*time.Minute),
		bound.Within("HedgeAfter", cmp.Or(o.HedgeAfter, time.Millisecond), time.Millisecond, time.Minute),
		bound.Within("MaxAttempts", o.MaxAttempts, 1, 1000),
		bound.WithinOrNone("RetriesPerRequest", o.RetriesPerRequest, 0, 1),
		bound.WithinOrNone("RetriesPerSecond", o.RetriesPerSecond, 0, 1_000_000),
		bound.Within("RetryBurst", o.RetryBurst, 1, 1_000_000),
		bound.WithinOrNone("MaxReplayBytes", o.MaxReplayBytes, 1, 16<<20),
		bound.Within("AvoidFor", o.AvoidFor, time.Millisecond, time.Minute),
	)...)
}

func (o Options) withDefaults() Options {
	if o.Policy == nil {
		o.Policy = policyOf
	}
	o.Scheme = cmp.Or(o.Scheme, "http")
	o.Patience = cmp.Or(o.Patience, time.Second)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 32)
	o.MaxReplayBytes = cmp.Or(o.MaxReplayBytes, 64<<10)
	o.AvoidFor = cmp.Or(o.AvoidFor, time.Second)
	o.RetriesPerRequest = cmp.Or(o.RetriesPerRequest, 0.2)
	o.RetriesPerSecond = cmp.Or(o.RetriesPerSecond, 10)
	o.RetryBurst = cmp.Or(o.RetryBurst, 100)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}

// policyOf lets any owner answer what changes nothing.
func policyOf(r *http.Request) Policy {
	if isSafe(r.Method) {
		return Nearest
	}
	return PrimaryOnly
}

func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}

// isServiceName keeps out what would take a mark in a header apart.
func isServiceName(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		mark := c == '.' || c == '_' || c == ':' || c == '/' || c == '@' || c == '-'
		if !letter && !digit && !mark {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}
