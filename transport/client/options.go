package client

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
)

// Options configure a [Client]. Only URLs is required.
type Options struct {
	// URLs are the URLs of members, http or https, 1 to 1,000 of them. Each has the
	// path below which the handler is mounted, if any. The zone of an IPv6 address may
	// be written with % or %25. The client asks the first one.
	// After a failure it asks the next one, and stays with that one. The end of a context
	// before the answer counts as a failure.
	URLs []string

	// Pool carries the requests and adds its token. Close of the client does not close
	// it. Nil means that the client makes a pool of PoolOptions, and closes it.
	Pool        *Pool
	PoolOptions PoolOptions

	// Timeout is how long one attempt may take, with the body of the answer: 1 ms to 24
	// h. Zero means 10 s. The context limits all attempts together.
	Timeout time.Duration
	// Retries is the largest number of further attempts, up to 100. Zero means 3, and
	// [option.None] none.
	Retries int
	// MinBackoff and MaxBackoff limit the wait before a further attempt: 1 ms to 24 h.
	// The wait doubles each time, and is then shortened by a random part of up to half.
	// Zero means 50 ms and 2 s. When a server names a wait in Retry-After, the client does not
	// ask that server before. A server that names a longer wait than MaxRetryAfter is not
	// asked again in the same call. For MaxRetryAfter zero means 30 s.
	MinBackoff, MaxBackoff, MaxRetryAfter time.Duration

	// MaxKeys and MaxBodyBytes limit a batch that is sent at once, like the limits of
	// the same names of the server's handler: 1 to 100,000 keys, and 1 KiB to 64 MiB.
	// Zero means the server's defaults. When the server accepts less, the client sends
	// less from then on.
	MaxKeys      int
	MaxBodyBytes int64
	// MaxAnswerBytes is the size of the longest answer that the client reads: 1 KiB to
	// 1 GiB. Zero means 64 MiB.
	MaxAnswerBytes int64
	// Compression asks members to compress long answers with gzip. It saves most of the
	// traffic of batches, plans and tables in JSON, and costs the member and the client some
	// processor time for each answer. Between zones or regions that often pays. MaxAnswerBytes
	// bounds the answer as it is after decompression. False means no compression.
	Compression bool

	// Logger is the logger of the pool if PoolOptions has none. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

func (o Options) parse() ([]*url.URL, error) {
	var errs []error
	bad := func(field string, value any, bound string) {
		errs = append(errs, &option.Error{Field: field, Value: value, Bound: bound})
	}
	pool := o.PoolOptions
	if o.Pool != nil {
		if pool = o.Pool.options; !reflect.ValueOf(o.PoolOptions).IsZero() {
			bad("PoolOptions", "set", "zero when Pool is set")
		}
	}
	if n := len(o.URLs); n < 1 || n > 1000 {
		bad("len(URLs)", n, "between 1 and 1000")
	}
	var bases []*url.URL
	for i, text := range o.URLs {
		field := fmt.Sprintf("URLs[%d]", i)
		base, err := url.Parse(escapeZone(text))
		switch {
		case err == nil && base.User != nil:
			bad(field, withoutUser(text), "without a user: send a token instead")
		case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
			bad(field, withoutUser(text), "http://host:port or https://host:port, with a path or without")
		case pool.exposes(base.Scheme, base.Hostname()):
			bad(field, text, "an https URL: the token would be sent in clear; set TokensInClear to allow that")
		default:
			base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
			bases = append(bases, base)
		}
	}
	o = o.withDefaults()
	const short, long = time.Millisecond, 24 * time.Hour
	errs = append(errs,
		bound.Within("Timeout", o.Timeout, short, long),
		bound.WithinOrNone("Retries", o.Retries, 1, 100),
		bound.Within("MinBackoff", o.MinBackoff, short, long),
		bound.Within("MaxBackoff", o.MaxBackoff, short, long),
		bound.Within("MaxRetryAfter", o.MaxRetryAfter, short, long),
		bound.Within("MaxKeys", o.MaxKeys, 1, 100_000),
		bound.Within("MaxBodyBytes", o.MaxBodyBytes, 1<<10, 64<<20),
		bound.Within("MaxAnswerBytes", o.MaxAnswerBytes, 1<<10, 1<<30),
		option.Under("PoolOptions", o.PoolOptions.validate()),
	)
	return bases, errors.Join(errs...)
}

// withoutUser hides the user of a URL, which may be a token, and the password. The URL may be
// malformed.
func withoutUser(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "", text
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return text
	}
	if rest = "xxxxx" + rest[at:]; found {
		rest = scheme + "://" + rest
	}
	return rest
}

// escapeZone writes the zone of an IPv6 address, as in http://[fe80::1%eth0]:8080, in the form
// that a URL has: http://[fe80::1%25eth0]:8080.
func escapeZone(text string) string {
	scheme, rest, _ := strings.Cut(text, "://[")
	addr, after, closed := strings.Cut(rest, "]")
	addr, zone, found := strings.Cut(addr, "%")
	if !closed || !found || strings.HasPrefix(zone, "25") {
		return text
	}
	return scheme + "://[" + addr + "%25" + zone + "]" + after
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Retries = cmp.Or(o.Retries, 3)
	o.MinBackoff = cmp.Or(o.MinBackoff, 50*time.Millisecond)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 2*time.Second)
	o.MaxRetryAfter = cmp.Or(o.MaxRetryAfter, 30*time.Second)
	o.MaxKeys = cmp.Or(o.MaxKeys, 10_000)
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, 1<<20)
	o.MaxAnswerBytes = cmp.Or(o.MaxAnswerBytes, 64<<20)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}
