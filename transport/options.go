package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// MaxKeyBytes is the longest key a lookup takes, in bytes. It leaves room for a
// key of nothing but percent escapes in the request line of a [Server].
const MaxKeyBytes = 4096

// Middleware wraps a handler in another. It must be safe for concurrent use, as
// the handler it returns must be.
type Middleware func(http.Handler) http.Handler

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
	// Middleware wraps all routes, the first outermost. It sees every
	// request, those for unknown paths included, and runs inside the
	// containment of panics. Entries must not be nil.
	Middleware []Middleware
}

// OptionError says that an option is out of bounds, or does not go with another.
type OptionError struct {
	// Field is the name of the struct and the field, such as
	// "ServerOptions.MaxConnections".
	Field string
	// Value is what it is; never that of a secret.
	Value any
	// Bound is what it must be.
	Bound string
}

// Error names the field, the value and the bound.
func (e *OptionError) Error() string {
	switch v := e.Value.(type) {
	case string:
		return fmt.Sprintf("transport: %s is %q: must be %s", e.Field, v, e.Bound)
	case nil:
		return fmt.Sprintf("transport: %s is nil: must be %s", e.Field, e.Bound)
	default:
		return fmt.Sprintf("transport: %s is %v: must be %s", e.Field, v, e.Bound)
	}
}

// Validate returns an [OptionError] for every option that is out of bounds,
// joined.
func (o HandlerOptions) Validate() error {
	o = o.withDefaults()
	errs := []error{
		within("HandlerOptions.MaxBodyBytes", o.MaxBodyBytes, 1<<10, 64<<20),
		within("HandlerOptions.MaxKeys", o.MaxKeys, 1, 100_000),
		within("HandlerOptions.MaxChanges", o.MaxChanges, 1, 10_000),
		within("HandlerOptions.MaxMoves", o.MaxMoves, 1, 1_000_000),
	}
	for i, m := range o.Middleware {
		if m == nil {
			errs = append(errs, &OptionError{Field: fmt.Sprintf("HandlerOptions.Middleware[%d]", i), Value: nil, Bound: "set"})
		}
	}
	return errors.Join(errs...)
}

func (o HandlerOptions) withDefaults() HandlerOptions {
	o.Logger = orDefault(o.Logger, slog.Default())
	o.MaxBodyBytes = orDefault(o.MaxBodyBytes, 1<<20)
	o.MaxKeys = orDefault(o.MaxKeys, 10_000)
	o.MaxChanges = orDefault(o.MaxChanges, 1000)
	o.MaxMoves = orDefault(o.MaxMoves, 10_000)
	return o
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func within[T ~int | ~int64](field string, v, low, high T) error {
	if v >= low && v <= high {
		return nil
	}
	return &OptionError{Field: field, Value: v, Bound: fmt.Sprintf("between %v and %v, or zero for the default", low, high)}
}
