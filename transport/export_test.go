package transport

// Routes lists what a handler serves, "METHOD /path".
func (h *Handler) Routes() []string {
	var routes []string
	for _, r := range h.table() {
		routes = append(routes, r.method+" "+r.path)
	}
	return routes
}
