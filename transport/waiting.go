package transport

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// watched is a cluster whose changes can be waited for, as those of package cluster can.
type watched interface {
	// Changed returns a channel that is closed at the next change of the view.
	Changed() <-chan struct{}
	// Stopping returns a channel that is closed when the member begins to stop.
	Stopping() <-chan struct{}
}

const (
	// maxWait is how long a request may wait for news.
	maxWait = time.Minute
	// writeGrace is the time to write an answer, or a part of a stream, after a wait.
	writeGrace = 30 * time.Second
)

// waitOf reads the parameter wait.
func waitOf(values url.Values) (time.Duration, error) {
	text, given, err := single(values, "wait")
	if err != nil || !given {
		return 0, err
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, parameterProblem("wait", "parameter %q is %s: must be a duration between 0s and %v, such as 30s", "wait", wire.Brief(text), maxWait)
	}
	return wait, nil
}

// occupy takes one of the places for requests that wait. One client may have a part of them. The
// caller must call the returned function at the end of the wait.
func (h *Handler) occupy(w http.ResponseWriter, r *http.Request) (leave func(), err error) {
	most := int64(h.options.MaxWaiting)
	share := max(most/clientPart, 1)
	client := sourceOf(r)
	if h.waiting.take(client, 1, share, most) {
		return func() { h.waiting.give(client, 1) }, nil
	}
	w.Header().Set("Retry-After", "1")
	p := wire.New(wire.TooManyWaiting, http.StatusServiceUnavailable, "%d requests, or %d of this client, wait here already: ask another member, or without waiting", most, share)
	p.Bound = most
	return nil, p
}

// changes returns the channels that are closed at the next change of the view, and when
// waiting must end because the member or the server stops. A channel may be nil.
func (h *Handler) changes(ctx context.Context) (changed, stopping, closing <-chan struct{}) {
	if c, ok := h.cluster.(watched); ok {
		changed, stopping = c.Changed(), c.Stopping()
	}
	closing, _ = ctx.Value(closingKey{}).(<-chan struct{})
	return changed, stopping, closing
}

// closingKey is the key under which the contexts of a Server's requests have a channel
// that is closed when Shutdown begins.
type closingKey struct{}

// extend gives a connection time for a wait, which may be longer than the server's
// timeouts. Where middleware hides the connection, the server's timeouts stay.
func extend(w http.ResponseWriter, wait time.Duration) {
	control, until := http.NewResponseController(w), time.Now().Add(wait+writeGrace)
	// While a handler runs, net/http reads from the connection to learn whether the
	// client is gone, and ends the request when that times out.
	_ = control.SetReadDeadline(until)
	_ = control.SetWriteDeadline(until)
}
