package transport

// Connections returns how many connections are open, idle ones included. One more may
// be counted while the server waits for the next.
func Connections(s *Server) int { return len(s.listener.slots) }

// Routes lists what a handler serves, "METHOD /path".
func (h *Handler) Routes() []string {
	var routes []string
	for _, r := range h.table() {
		routes = append(routes, r.method+" "+r.path)
	}
	return routes
}
