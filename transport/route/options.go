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
	// Nearest takes any owner: this member if it is an owner, then the owners in its
	// zone, then those in its region, then the rest.
	Nearest Policy = iota
	// PrimaryOnly takes the first owner of the preference list and no other. While that
	// owner is down and the cluster has not noticed, requests wait for as long as
	// Options.Patience.
	PrimaryOnly
	// PrimaryFirst takes the owners in the order of the preference list, in any zone:
	// when one cannot be reached, it takes the next.
	PrimaryFirst
)

// Options configure a [Router]. Service and Key are required. For every other field the
// zero value has the meaning that the field's doc gives.
type Options struct {
	// Service is the name under which members announce the address of the service in
	// membership.Member.Services, as host:port. Requests are forwarded to that address.
	// All routers of one service must use the same name: 1 to 64 letters, digits and
	// the characters . _ : / @ -.
	Service string
	// Key returns the key of a request. It returns false when the request has no key:
	// then the member that got the request answers it. Key must return the same on
	// every member, and must not read the body. It is called concurrently, but not for a
	// CONNECT without a path, which has no key.
	Key func(*http.Request) (key string, ok bool)
	// Policy says which owners may answer a request. It must return the same on every
	// member, and is called concurrently. Nil means Nearest for GET, HEAD, OPTIONS and
	// TRACE, and PrimaryOnly for all other methods.
	Policy func(*http.Request) Policy
	// Scheme is "http" or "https". Empty means http.
	Scheme string
	// Transport carries forwarded requests, and should be the process's one
	// [client.Pool]. It must not try a request again on its own unless nothing of it
	// was sent or it is idempotent, as [client.Pool] and http.Transport do not. A
	// request that finds no connection free goes to the next owner: with a Pool after
	// its MaxConnWait, and with any round tripper after 2 s. Nil: a Pool of the router's own,
	// with the defaults, which [Router.Close] closes.
	Transport http.RoundTripper
	// Wrap returns a round tripper around Transport that sees each attempt, such as the
	// tracing of OpenTelemetry. The rules for Transport apply to the result too. Nil
	// means that Transport is used as it is.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Patience is how long a request that was refused, or whose owners cannot be
	// reached, waits until views agree or change: 1 ns to 5 min. With about ten
	// seconds, writes succeed also when their primary crashes. Zero means 1 s, and
	// [option.None] that no request waits.
	Patience time.Duration
	// HedgeAfter is how long a read (GET, HEAD, OPTIONS or TRACE without a body, of
	// which the policy allows several owners) waits for the head of an answer before
	// it is sent to the next owner as well: 1 ms to 1 min. The first answer counts, and
	// the other attempt is ended. A hedge takes a token from the budget below. An owner
	// that lost is tried last for AvoidFor. Choose more than the time in which the
	// service answers nearly all reads. Zero means that no read is sent twice.
	HedgeAfter time.Duration
	// MaxAttempts is how many times one request is sent at most, with the first time: 1
	// to 1,000. Zero means 32.
	MaxAttempts int
	// RetriesPerRequest, RetriesPerSecond and RetryBurst configure the retry budget. It
	// keeps retries from overloading a cluster that has failures. The budget is one
	// token bucket for all requests together. Sending a request again after a failed
	// connection takes a token. When there is no token, the request is answered with
	// the failure. Requests that were refused with 421, or that wait until the view has
	// changed, take no token.
	//
	// RetriesPerRequest is the number of tokens that every forwarded request adds to
	// the bucket, up to 1. Zero means 0.2, and [option.None] none. RetriesPerSecond is
	// the number of tokens that are added in each second, up to 1,000,000. Zero means
	// 10, and [option.None] none. RetryBurst is the size of the bucket, which is full
	// at first: 1 to 1,000,000. Zero means 100.
	RetriesPerRequest, RetriesPerSecond float64
	RetryBurst                          int
	// MaxReplayBytes is how much of the beginning of a body is kept in memory to be sent
	// again, up to 16 MiB. Zero means 64 KiB, and [option.None] that nothing is kept.
	MaxReplayBytes int64
	// AvoidFor is how long an address is tried last after a connection to it could not
	// be made: 1 ms to 1 min. Afterwards one request at a time tries it again. Zero
	// means 1 s.
	AvoidFor time.Duration
	// TrustForwarded keeps the headers X-Forwarded-For, -Host and -Proto and Forwarded of an
	// incoming request, and adds its sender to X-Forwarded-For. Set it only where all requests
	// come through a proxy: any process can send these headers.
	TrustForwarded bool
	// Logger gets panics of Key and Policy at level error, and failed attempts at level
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
	if err := bound.ServiceName("Service", o.Service); err != nil {
		errs = append(errs, err)
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

// policyOf is the default policy: any owner may answer a request that only reads.
func policyOf(r *http.Request) Policy {
	if isSafe(r.Method) {
		return Nearest
	}
	return PrimaryOnly
}

// isSafe reports whether a method only reads. A caller of a round tripper may leave GET empty.
func isSafe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}
