package transport

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/bound"
)

// HandlerOptions limit the requests and answers of a [Handler], and add middleware. The
// zero value is usable.
type HandlerOptions struct {
	// Logger gets panics and failures of strategies, at level error. Nil means
	// [slog.Default].
	Logger *slog.Logger
	// MaxBodyBytes is the size of the longest request body: 1 KiB to 64 MiB. Zero means
	// 1 MiB.
	MaxBodyBytes int64
	// MaxKeys is the largest number of keys in one batch: 1 to 100,000. Zero means
	// 10,000. An answer has about 100 bytes for each owner of each key.
	MaxKeys int
	// MaxChanges is the largest number of entries of a change in a request for a plan,
	// of all lists together: 1 to 10,000. Zero means 1,000. An entry needs as much time
	// and memory as a member of the cluster.
	MaxChanges int
	// MaxMoves is the largest number of moves that a plan lists: 1 to 1,000,000. The
	// plan counts all moves. Zero means 10,000.
	MaxMoves int
	// MaxAnswerBytes is the memory that the requests and answers under way may take in
	// all, without lookups of one key: 1 MiB to 64 GiB. One client may take a quarter of
	// it, or one body of MaxBodyBytes; a client is an IPv4 address or the IPv6 network of
	// 64 bits. Further requests are refused with 503 and Retry-After. Zero means 32 MiB,
	// or 32 times MaxBodyBytes if that is more, and 32 bytes for each replica slot of the
	// ring: 32.4 MiB with 4096 partitions of three owners.
	MaxAnswerBytes int64
	// MaxPlanCost is the largest plan that is computed: the number of partitions times
	// the number of members with those that the change adds, 1 to 2^40. Larger ones are
	// refused with 413. Zero means 2^30. One plan is computed at a time. It ends when its
	// request ends, or after 30 s.
	MaxPlanCost int64
	// MaxWaiting is the largest number of requests that wait for another table or follow
	// the events at the same time: 1 to 100,000. One client may have a quarter of them.
	// Further ones are refused with 503. Each keeps a connection, or a stream of HTTP/2. Zero
	// means 1,000.
	MaxWaiting int
	// Middleware wraps all routes, with the first entry outermost: the Wrap of a
	// [Guard], or your own. It sees every request, also for unknown paths. The handler
	// contains its panics. An entry must not be nil. The entry and the handler that it
	// returns must be safe for concurrent use.
	Middleware []func(http.Handler) http.Handler
}

// Validate returns an [option.Error] for every option that is out of bounds,
// joined.
func (o HandlerOptions) Validate() error {
	o = o.withDefaults()
	errs := []error{
		bound.Within("MaxBodyBytes", o.MaxBodyBytes, 1<<10, 64<<20),
		bound.Within("MaxKeys", o.MaxKeys, 1, 100_000),
		bound.Within("MaxChanges", o.MaxChanges, 1, 10_000),
		bound.Within("MaxMoves", o.MaxMoves, 1, 1_000_000),
		bound.Within("MaxAnswerBytes", cmp.Or(o.MaxAnswerBytes, 1<<20), 1<<20, 64<<30),
		bound.Within("MaxPlanCost", o.MaxPlanCost, 1, 1<<40),
		bound.Within("MaxWaiting", o.MaxWaiting, 1, 100_000),
	}
	for i, m := range o.Middleware {
		if m == nil {
			errs = append(errs, &option.Error{Field: fmt.Sprintf("Middleware[%d]", i), Value: nil, Bound: "set"})
		}
	}
	return errors.Join(errs...)
}

func (o HandlerOptions) withDefaults() HandlerOptions {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, 1<<20)
	o.MaxKeys = cmp.Or(o.MaxKeys, 10_000)
	o.MaxChanges = cmp.Or(o.MaxChanges, 1000)
	o.MaxMoves = cmp.Or(o.MaxMoves, 10_000)
	o.MaxPlanCost = cmp.Or(o.MaxPlanCost, 1<<30)
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 1000)
	return o
}
