package transport

import "github.com/prometheus/client_golang/prometheus"

// Collector returns a collector of what the router has counted, with the labels
// cluster and service on every series. Register it with [Handler.RegisterMetrics]
// or wherever you please.
func (rt *Router) Collector() prometheus.Collector {
	return collectorOf(rt.Stats, routerFamilies, prometheus.Labels{
		"cluster": rt.cluster.View().ClusterName, "service": rt.options.Service,
	})
}

var routerFamilies = []family[RouterStats]{
	{"router_attempts_total", "Attempts to have a request answered, by what came of them and how far away the member is.", counter, []string{"result", "relation"},
		func(m *RouterStats, s series) {
			for result := range Results {
				for relation := range Relations {
					s.value(float64(m.Attempts[result][relation]), result.String(), relation.String())
				}
			}
		}},
	{"router_unkeyed_total", "Requests without a key, which stay where they come in.", counter, nil,
		func(m *RouterStats, s series) { s.value(float64(m.Unkeyed)) }},
	{"router_retries_total", "Attempts after the first of a request.", counter, nil,
		func(m *RouterStats, s series) { s.value(float64(m.Retries)) }},
	{"router_over_budget_total", "Requests not sent again because the retry budget was spent.", counter, nil,
		func(m *RouterStats, s series) { s.value(float64(m.OverBudget)) }},
	{"router_gave_up_total", "Requests answered with 502, 503 or 504 because no owner answered them.", counter, nil,
		func(m *RouterStats, s series) { s.value(float64(m.GaveUp)) }},
}
