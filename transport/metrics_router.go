package transport

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clusterkit/clusterkit/transport/route"
)

// NewRouterCollector returns a collector of the counts of a [route.Router] or a
// [route.RoundTripper]. Every series has the labels cluster and service, so register one
// router or round tripper of a service, with [Handler.RegisterMetrics] or any registry.
func NewRouterCollector(rt interface{ Stats() route.Stats }) prometheus.Collector {
	of := rt.Stats()
	return collectorOf(rt.Stats, routerFamilies, prometheus.Labels{"cluster": of.ClusterName, "service": of.Service})
}

var routerFamilies = []family[route.Stats]{
	{"router_attempts_total", "Attempts to have a request answered, by what came of them and how far away the member is.", counter, []string{"result", "relation"},
		func(m *route.Stats, s series) {
			for _, result := range []struct {
				name string
				of   route.Attempts
			}{
				{"answered", m.Answered}, {"refused", m.Refused}, {"unreachable", m.Unreachable}, {"broken", m.Broken}, {"canceled", m.Canceled},
			} {
				s.value(float64(result.of.Local), result.name, "local")
				s.value(float64(result.of.SameZone), result.name, "same-zone")
				s.value(float64(result.of.SameRegion), result.name, "same-region")
				s.value(float64(result.of.Remote), result.name, "remote")
			}
		}},
	{"router_unkeyed_total", "Requests without a key, which stay where they come in.", counter, nil,
		func(m *route.Stats, s series) { s.value(float64(m.Unkeyed)) }},
	{"router_retries_total", "Attempts after the first of a request.", counter, nil,
		func(m *route.Stats, s series) { s.value(float64(m.Retries)) }},
	{"router_hedges_total", "Reads sent to a second owner while the first was slow.", counter, nil,
		func(m *route.Stats, s series) { s.value(float64(m.Hedges)) }},
	{"router_over_budget_total", "Requests not sent again because the retry budget was spent.", counter, nil,
		func(m *route.Stats, s series) { s.value(float64(m.OverBudget)) }},
	{"router_crowded_total", "Attempts for which no connection to the member was free in time.", counter, nil,
		func(m *route.Stats, s series) { s.value(float64(m.Crowded)) }},
	{"router_gave_up_total", "Requests answered with 502, 503 or 504 because no owner answered them.", counter, nil,
		func(m *route.Stats, s series) { s.value(float64(m.GaveUp)) }},
}
