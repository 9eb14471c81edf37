package transport

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/answer"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// parseQuery parses the query, and refuses malformed parts that url.URL.Query would
// skip.
func parseQuery(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, wire.New(wire.Parameter, http.StatusBadRequest, "the query is malformed: %s", wire.Cut(err.Error()))
	}
	return values, nil
}

// single returns a parameter that may be given once, and whether it was given.
func single(values url.Values, name string) (value string, given bool, err error) {
	all := values[name]
	switch len(all) {
	case 0:
		return "", false, nil
	case 1:
		return all[0], true, nil
	default:
		return "", true, parameterProblem(name, "parameter %q is given %d times: give it once", name, len(all))
	}
}

// flag returns a boolean parameter. Without a value it is true.
func flag(values url.Values, name string, otherwise bool) (bool, error) {
	value, given, err := single(values, name)
	if err != nil || !given {
		return otherwise, err
	}
	if value == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, parameterProblem(name, "parameter %q is %s: must be true or false", name, wire.Brief(value))
	}
	return b, nil
}

// nearOf reads the parameters region and zone: nil without them. If only one is given,
// the other is empty, which is the name of the region or zone of members that name none.
func nearOf(values url.Values) (*answer.Near, error) {
	region, regionGiven, err := single(values, "region")
	if err != nil {
		return nil, err
	}
	zone, zoneGiven, err := single(values, "zone")
	if err != nil || !regionGiven && !zoneGiven {
		return nil, err
	}
	return &answer.Near{Region: region, Zone: zone}, nil
}

func parameterProblem(name, format string, args ...any) *api.Refusal {
	p := wire.New(wire.Parameter, http.StatusBadRequest, format, args...)
	p.Parameter = name
	return p
}
