package transport

import (
	"net/http"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

const plainText = "text/plain; charset=utf-8"

// livez answers only that the process can answer.
func livez(w http.ResponseWriter, r *http.Request) error {
	wire.Write(w, r, http.StatusOK, plainText, []byte("ok\n"))
	return nil
}

// readyz answers whether requests should be sent to the member, in one line. With
// verbose there is another line for each problem, marked with its severity.
func (h *Handler) readyz(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	verbose, err := flag(values, "verbose", false)
	if err != nil {
		return err
	}
	health := h.cluster.Health()
	text, status := "ready\n", http.StatusOK
	if !health.Ready {
		text, status = "not ready\n", http.StatusServiceUnavailable
	}
	if verbose {
		var lines strings.Builder
		lines.WriteString(text)
		for _, p := range health.Problems {
			mark := "degraded"
			switch {
			case p.Unready:
				mark = "unready"
			case p.Critical:
				mark = "critical"
			}
			// Fields puts a message of several lines into one line.
			lines.WriteString(mark + ": " + p.Code + ": " + strings.Join(strings.Fields(p.Message), " ") + "\n")
		}
		text = lines.String()
	}
	wire.Write(w, r, status, plainText, []byte(text))
	return nil
}

// health answers with the same document whether the member is ready or not, so that a
// caller has to parse only one.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) error {
	health := h.healthOf(h.cluster.View())
	status := http.StatusOK
	if !health.Ready {
		status = http.StatusServiceUnavailable
	}
	return wire.WriteJSON(w, r, status, health)
}

// healthOf returns the health as a document.
func (h *Handler) healthOf(view route.View) api.Health {
	health := h.cluster.Health()
	health.ClusterName, health.NodeID = view.ClusterName, view.NodeID
	health.Version = memberOf(view, view.NodeID).Version
	health.LastSync = presentable(health.LastSync)
	if health.Problems == nil { // nil would be null in JSON
		health.Problems = []api.Problem{}
	}
	if health.Differing == nil {
		health.Differing = []api.Differing{}
	}
	return health
}

// presentable returns a time in UTC, or zero when JSON cannot hold it. Otherwise one
// member with a wrong clock could make the whole list fail.
func presentable(t time.Time) time.Time {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
