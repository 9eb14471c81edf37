// Package bound checks a numeric option against its bounds, and reports it as an
// [option.Error]. It knows no default: the caller fills defaults in before.
package bound

import (
	"fmt"
	"strconv"

	"github.com/clusterkit/clusterkit/ring/option"
)

type number interface {
	~int | ~int64 | ~float64
}

// Within returns an [option.Error] unless a value is between low and high, both
// included.
func Within[T number](field string, v, low, high T) error {
	if v >= low && v <= high { // also false for NaN
		return nil
	}
	return &option.Error{Field: field, Value: v, Bound: between(low, high) + ", or zero for the default"}
}

// WithinOrNone is Within for an option that may be [option.None] too.
func WithinOrNone[T number](field string, v, low, high T) error {
	if v == option.None || v >= low && v <= high {
		return nil
	}
	return &option.Error{Field: field, Value: v, Bound: between(low, high) + ", zero for the default, or option.None for none"}
}

func between(low, high any) string { return "between " + text(low) + " and " + text(high) }

// text writes a large number without an exponent.
func text(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
