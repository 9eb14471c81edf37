package transport

// Connections returns how many connections are open, idle ones included. One more may
// be counted while the server waits for the next.
func Connections(s *Server) int { return len(s.listener.slots) }

// Routes lists what a handler serves, "METHOD /path".
func (h *Handler) Routes() []string {
	var routes []string
	for _, r := range h.entries() {
		routes = append(routes, r.method+" "+r.path)
	}
	return routes
}

// Fill takes all the memory that answers may take.
func Fill(h *Handler) {
	for _, b := range []*budget{&h.memory, &h.scrapes} {
		most := h.maxAnswerBytes()
		b.take(sharedTable, most, most, most)
	}
}

// Waiting returns how many requests wait for news at a handler.
func Waiting(h *Handler) int { return int(h.waiting.now()) }

// Held returns how many bytes the requests under way hold of the budget.
func Held(h *Handler) int64 { return h.memory.now() }
