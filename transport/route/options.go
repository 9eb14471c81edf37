package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Policy says which owners of a key may answer a request.
type Policy uint8

// The policies.
const (
	// Nearest takes any owner: this member, if it is one, then those in its
	// zone, those in its region, and the rest.
	Nearest Policy = iota
	// PrimaryOnly takes the first owner of the preference list and nobody
	// else. While that one is down and the cluster has not noticed, requests
	// wait for as long as RouterOptions.Patience.
	PrimaryOnly
	// PrimaryFirst takes the owners in the order of the preference list,
	// wherever they are: the next when one cannot be reached.
	PrimaryFirst
)

// String returns the name, such as "nearest".
func (p Policy) String() string {
	switch p {
	case Nearest:
		return "nearest"
	case PrimaryOnly:
		return "primary-only"
	case PrimaryFirst:
		return "primary-first"
	default:
		return fmt.Sprintf("Policy(%d)", uint8(p))
	}
}

// RouterOptions configure a [Router]. Service and Key are required; every other
// field says what its zero value means.
type RouterOptions struct {
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
	// [Pool]. It must not try a request again on its own unless nothing of it
	// was sent or it is idempotent, as [Pool] and http.Transport do not. A
	// request that finds no connection free waits, so that many long streams or
	// upgrades to one member need a larger PoolOptions.MaxConnsPerHost. Nil: a
	// Pool of the router's own, with the defaults, which [Router.Close] closes.
	Transport http.RoundTripper
	// Wrap puts something around Transport that sees every attempt by itself,
	// such as the tracing of OpenTelemetry. What holds for Transport holds for
	// what it returns. Nil: nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Patience is how long a request that was refused, or whose owners cannot
	// be reached, waits for the views to agree or to change: up to 5 min. With
	// about ten seconds writes outlast the crash of their primary. Zero means
	// 1 s, and less than zero that nobody waits.
	Patience time.Duration
	// MaxAttempts is how often one request is sent, the first time included,
	// 1 to 1,000. Zero means 32.
	MaxAttempts int
	// Retries bound how many requests are sent again after a connection has
	// failed, in all.
	Retries RetryBudget
	// MaxReplayBytes is the longest body that is kept in memory to be sent
	// again, up to 16 MiB. Zero means 64 KiB, and less than zero that none is.
	MaxReplayBytes int64
	// AvoidFor is how long an address is tried last after a connection to it
	// could not be made; afterwards one request at a time tries again. 1 ms to
	// 1 min. Zero means 1 s.
	AvoidFor time.Duration
	// TrustForwarded keeps the X-Forwarded-For, -Host and -Proto that a
	// request came with, the first with its sender added. Set it only behind a
	// proxy that all requests come through: anybody can send these headers.
	TrustForwarded bool
	// Logger gets panics of Key and Policy, at error, and failed attempts, at
	// debug. Nil means [slog.Default].
	Logger *slog.Logger
}

// RetryBudget is a token bucket: sending a request again after a failed
// connection takes a token. A request that finds none is answered with the
// failure, so that a cluster in trouble is not sent ever more requests. Requests
// that were refused with 421, or that wait until the view has moved on, take
// none.
type RetryBudget struct {
	// PerRequest is how many tokens every forwarded request puts into the
	// bucket, up to 1. Zero means 0.2, and less than zero none.
	PerRequest float64
	// PerSecond is how many tokens come in with time, up to 1,000,000. Zero
	// means 10, and less than zero none.
	PerSecond float64
	// Burst is how many tokens the bucket holds, as it does at first: 1 to
	// 1,000,000. Zero means 100.
	Burst int
}

// Validate returns an [OptionError] for every option that is missing or out of
// bounds, joined. It opens nothing.
func (o RouterOptions) Validate() error {
	o = o.withDefaults()
	var errs []error
	bad := func(field string, value any, bound string) {
		errs = append(errs, &OptionError{Field: "RouterOptions." + field, Value: value, Bound: bound})
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
	if o.Patience > 5*time.Minute {
		bad("Patience", o.Patience, "at most 5m0s, or less than zero for none")
	}
	if o.MaxReplayBytes > 16<<20 {
		bad("MaxReplayBytes", o.MaxReplayBytes, "at most 16777216, or less than zero for none")
	}
	if !(o.Retries.PerRequest <= 1) { // NaN is not
		bad("Retries.PerRequest", o.Retries.PerRequest, "at most 1, or less than zero for none")
	}
	if !(o.Retries.PerSecond <= 1e6) {
		bad("Retries.PerSecond", o.Retries.PerSecond, "at most 1000000, or less than zero for none")
	}
	return errors.Join(append(errs,
		within("RouterOptions.MaxAttempts", o.MaxAttempts, 1, 1000),
		within("RouterOptions.Retries.Burst", o.Retries.Burst, 1, 1_000_000),
		within("RouterOptions.AvoidFor", o.AvoidFor, time.Millisecond, time.Minute),
	)...)
}

func (o RouterOptions) withDefaults() RouterOptions {
	if o.Policy == nil {
		o.Policy = policyOf
	}
	o.Scheme = orDefault(o.Scheme, "http")
	o.Patience = orDefault(o.Patience, time.Second)
	o.MaxAttempts = orDefault(o.MaxAttempts, 32)
	o.MaxReplayBytes = orDefault(o.MaxReplayBytes, 64<<10)
	o.AvoidFor = orDefault(o.AvoidFor, time.Second)
	o.Retries.PerRequest = orDefault(o.Retries.PerRequest, 0.2)
	o.Retries.PerSecond = orDefault(o.Retries.PerSecond, 10)
	o.Retries.Burst = orDefault(o.Retries.Burst, 100)
	o.Logger = orDefault(o.Logger, slog.Default())
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
