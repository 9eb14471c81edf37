package transport

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// accepts returns the weight with which a request names a media type in Accept, from 0 to
// 1. It is 0 where the header does not name the type itself: a range such as */* leaves
// the choice to the handler.
func accepts(r *http.Request, kind string) (weight float64) {
	for _, value := range r.Header["Accept"] {
		for part := range strings.SplitSeq(value, ",") {
			name, parameters, err := mime.ParseMediaType(part)
			if err != nil || name != kind {
				continue
			}
			q := 1.0
			if text, given := parameters["q"]; given {
				if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) { // also NaN
					continue
				}
			}
			weight = max(weight, q)
		}
	}
	return weight
}

// prefers reports whether a request names one media type, and with at least the weight of
// another.
func prefers(r *http.Request, kind, other string) bool {
	weight := accepts(r, kind)
	return weight > 0 && weight >= accepts(r, other)
}
