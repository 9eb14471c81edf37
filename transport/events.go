package transport

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// eventSource is a cluster that remembers its last events, as those of package cluster
// do.
type eventSource interface {
	// EventsAfter returns the remembered events after the one with an ID, the oldest
	// first, and a channel that is closed at the next one. For an ID that it does not
	// know it returns all events.
	EventsAfter(id string) ([]api.Event, <-chan struct{})
}

const (
	// heartbeat is how often a stream without events sends a comment, so that both ends
	// notice when the other one is gone.
	heartbeat = 15 * time.Second
	// maxStream is how long a stream lasts. The client then asks again, with its present
	// token and certificate.
	maxStream = 10 * time.Minute
)

// events answers with the last events: as one document, or as a stream that goes on to
// callers that ask for server-sent events.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) error {
	view, last := h.cluster.View(), r.Header.Get("Last-Event-ID")
	w.Header().Set("Vary", "Accept")
	source, _ := h.cluster.(eventSource)
	after := func(id string) ([]api.Event, <-chan struct{}) {
		if source == nil {
			return nil, nil
		}
		return source.EventsAfter(id)
	}
	lease := h.lease(r)
	defer lease.end()
	if !prefers(r, wire.EventStream, wire.JSON) {
		events, _ := after(last)
		if err := lease.resize(w, 2*pieceBytes+bytesOf(events)); err != nil {
			return err
		}
		return writeList(w, r, api.Events{ClusterName: view.ClusterName, NodeID: view.NodeID, Events: []api.Event{}}, "events", slices.Values(events))
	}
	return h.streamEvents(w, r, lease, last, after)
}

// streamEvents sends the events after the last one that the caller knows, and goes on with those to
// come.
func (h *Handler) streamEvents(w http.ResponseWriter, r *http.Request, lease *lease, last string, after func(id string) ([]api.Event, <-chan struct{})) error {
	leave, err := h.occupy(w, r)
	if err != nil {
		return err
	}
	defer leave()
	if err := lease.resize(w, pieceBytes); err != nil {
		return err
	}
	w.Header().Set("Content-Type", wire.EventStream)
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back until a buffer is full
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, stopping, closing := h.changes(r.Context())
	beat, end := time.NewTicker(heartbeat), time.NewTimer(maxStream)
	defer beat.Stop()
	defer end.Stop()
	part := []byte("retry: 1000\n\n")
	for {
		events, added := after(last)
		// The events count until the reader has them. A stream for which there is no room
		// ends, and the client asks again.
		if lease.resize(w, pieceBytes+bytesOf(events)) != nil {
			return nil
		}
		for _, e := range events {
			part, last = appendEvent(part, e), e.ID
			if len(part) >= pieceBytes {
				if !send(w, part) {
					return nil
				}
				part = part[:0]
			}
		}
		if len(part) > 0 && !send(w, part) {
			return nil
		}
		part = part[:0]
		lease.shrink(pieceBytes)
		select {
		case <-added:
		case <-beat.C:
			part = append(part, ":\n\n"...)
		case <-end.C:
			return nil
		case <-stopping:
			return nil
		case <-closing:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// bytesOf returns about how much memory events take.
func bytesOf(events []api.Event) (n int64) {
	for i := range events {
		n += 256 + int64(len(events[i].Text))
	}
	return n
}

// send writes a part of a stream. It reports whether the stream can go on.
func send(w http.ResponseWriter, part []byte) bool {
	extend(w, heartbeat)
	if _, err := w.Write(part); err != nil {
		return false
	}
	return http.NewResponseController(w).Flush() == nil
}

// appendEvent appends an event in the form of server-sent events. Its JSON has no line
// breaks.
func appendEvent(b []byte, e api.Event) []byte {
	var data bytes.Buffer
	if err := wire.NewEncoder(&data).Encode(e); err != nil { // a time that JSON cannot hold
		return b
	}
	return fmt.Appendf(b, "id: %s\nevent: %s\ndata: %s\n", e.ID, e.Kind, data.Bytes())
}
