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
	// URLs are where members are reached, http or https, with the path that
	// the handler is mounted below, if any: 1 to 1,000. The first is asked
	// first; after a failure the next, and from then on that one.
	URLs []string

	// Pool carries the requests, adds its token, and is not closed with the
	// client. Nil: the client makes a pool of PoolOptions, and closes it.
	Pool        *Pool
	PoolOptions PoolOptions

	// Timeout is how long one attempt may take, the answer's body included: 1
	// ms to 24 h. Zero means 10 s. The context bounds all attempts together.
	Timeout time.Duration
	// Retries is how many further attempts there are at most, up to 100. Zero
	// means 3, and [option.None] none.
	Retries int
	// MinBackoff and MaxBackoff bound the wait before an attempt, which
	// doubles each time and is then cut by up to half, by chance: 1 ms to 24
	// h. Zero means 50 ms and 2 s. When the server says in Retry-After how
	// long to wait, that is what counts, if it is no longer than
	// MaxRetryAfter; zero means 30 s.
	MinBackoff, MaxBackoff, MaxRetryAfter time.Duration

	// MaxKeys and MaxBodyBytes are the largest batch sent at once: the
	// limits of the same names of the server's handler: 1 to 100,000 keys, and
	// 1 KiB to 64 MiB. Zero means the server's defaults. When the
	// server turns out to take less, the client sends less from then on.
	MaxKeys      int
	MaxBodyBytes int64
	// MaxAnswerBytes is the longest answer that is read: 1 KiB to 1 GiB. Zero
	// means 64 MiB.
	MaxAnswerBytes int64

	// Logger is the pool's where PoolOptions has none. Nil means [slog.Default].
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
		base, err := url.Parse(text)
		switch {
		case err == nil && base.User != nil:
			bad(field, base.Redacted(), "without a user: send a token instead")
		case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
			bad(field, text, "http://host:port or https://host:port, with a path or without")
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
