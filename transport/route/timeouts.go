package route

import (
	"net/http"
	"sync"
	"time"
)

// timeouts are those of the server to which the caller of a forwarded request is connected. A handler
// may lift the timeouts of its own server, for an event stream or a long upload, and cannot lift them at
// this server. So the router lifts them here after a moment, and the server of the owner decides. Only
// each write to the caller keeps a limit, because the router learns nothing of the owner while it
// writes.
type timeouts struct {
	control     *http.ResponseController
	read, write time.Duration
	timer       *time.Timer // nil: the server has none

	mu           sync.Mutex
	lifted, over bool
	writes       int // to the caller that are under way: the proxy flushes beside a write
}

// liftAfter is that moment, unless half of a timeout is shorter. Most requests end sooner.
const liftAfter = time.Second

// begin begins to count the time.
func (t *timeouts) begin(w http.ResponseWriter, r *http.Request) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return
	}
	t.read, t.write = max(server.ReadTimeout, 0), max(server.WriteTimeout, 0)
	first := max(t.read, t.write)
	if t.read > 0 && t.write > 0 {
		first = min(t.read, t.write)
	}
	if first > 0 {
		t.control = http.NewResponseController(w)
		t.timer = time.AfterFunc(min(first/2, liftAfter), t.lift)
	}
}

// lift lifts the timeouts.
func (t *timeouts) lift() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.lifted = true
	if t.read > 0 {
		_ = t.control.SetReadDeadline(time.Time{})
	}
	t.limit()
}

// limit limits a write to the caller that is under way, and lifts the limit after it.
func (t *timeouts) limit() {
	if !t.lifted || t.write == 0 {
		return
	}
	var until time.Time
	if t.writes > 0 {
		until = time.Now().Add(t.write)
	}
	_ = t.control.SetWriteDeadline(until)
}

// add tells that writes to the caller begin, or end.
func (t *timeouts) add(writes int) {
	if t.timer == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writes += writes; !t.over {
		t.limit()
	}
}

// forget leaves a connection that was taken over as it is.
func (t *timeouts) forget() {
	if t.timer == nil {
		return
	}
	t.timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// end gives the server its timeouts back, for the end of the answer.
func (t *timeouts) end() {
	if t.timer == nil {
		return
	}
	t.timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.over = true
	if !t.lifted {
		return
	}
	if t.read > 0 {
		_ = t.control.SetReadDeadline(time.Now().Add(t.read))
	}
	if t.write > 0 {
		_ = t.control.SetWriteDeadline(time.Now().Add(t.write))
	}
}
