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

// HandlerOptions bound what a [Handler] takes and gives. The zero value is ready
// for use.
type HandlerOptions struct {
	// Logger gets panics and failing strategies, at error. Nil means
	// [slog.Default].
	Logger *slog.Logger
	// MaxBodyBytes is the longest request body, in bytes: 1 KiB to 64 MiB.
	// Zero means 1 MiB.
	MaxBodyBytes int64
	// MaxKeys is the largest number of keys in one batch: 1 to 100,000. Zero
	// means 10,000. An answer takes about 100 bytes a key and owner.
	MaxKeys int
	// MaxChanges is the largest number of entries, all kinds together, of the
	// change that a plan is asked for: 1 to 10,000. Zero means 1,000. Time and
	// memory grow with it as with members of the cluster.
	MaxChanges int
	// MaxMoves is the largest number of moves that a plan lists; it counts
	// them all. 1 to 1,000,000. Zero means 10,000.
	MaxMoves int
	// Middleware wraps all routes, the first outermost: a [Guard]'s Wrap, or your
	// own. It sees every request, those for unknown paths included, and runs inside
	// the containment of panics. An entry must not be nil; it must be safe for
	// concurrent use, as the handler that it returns must be.
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
	return o
}
