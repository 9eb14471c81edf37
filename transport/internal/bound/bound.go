// Package bound checks an option against its bounds, and reports it as an
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

// ServiceName returns an [option.Error] unless a text can name a service. It rejects the
// characters that separate the parts of a mark.
func ServiceName(field, s string) error {
	ok := len(s) >= 1 && len(s) <= 64
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		mark := c == '.' || c == '_' || c == ':' || c == '/' || c == '@' || c == '-'
		ok = ok && (letter || digit || mark)
	}
	if ok {
		return nil
	}
	return &option.Error{Field: field, Value: s, Bound: "1 to 64 letters, digits and . _ : / @ -"}
}

func between(low, high any) string { return "between " + text(low) + " and " + text(high) }

// text writes a large number without an exponent.
func text(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
